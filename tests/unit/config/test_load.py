import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirrorsync.config.load import PLACES, find, load, parse
from mirrorsync.config.schema import Settings
from mirrorsync.errors import BadConfig, ExitCode

HEAD = '[mirror]\ndirectory = "/srv/pypi"\ncontact = "ops@site.test"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mirrorsync.toml"


def refusal(text: str) -> BadConfig:
    with pytest.raises(BadConfig) as caught:
        parse(text, Path("/etc/site.toml"), {})
    assert caught.value.exit_code == ExitCode.CONFIG
    assert caught.value.what.startswith("/etc/site.toml")
    return caught.value


def test_two_keys_are_enough(file: Path) -> None:
    file.write_text(HEAD)
    settings = load(file, {})
    assert settings.mirror.directory == Path("/srv/pypi")
    assert settings == Settings(mirror=settings.mirror)


def test_written_values_are_in_force(file: Path) -> None:
    file.write_text(
        HEAD
        + '[upstream]\nindex = "https://index.test"\nfeed = "json"\nconnections = 64\npoll-interval = "250ms"\n'
        + 'file-hosts = ["127.0.0.1:8080"]\nproxy = "http://proxy.test:3128"\n'
        + '[select]\nprojects = ["Zope.Interface"]\n[content]\nfiles = false\nlegacy-json = true\n'
        + '[limits]\nmax-removed-projects = 0\nmax-removed-bytes = "500 GB"\nmin-free = "0"\nremoval-grace = "2h30m"\n'
    )
    settings = load(file, {})
    upstream, limits = settings.upstream, settings.limits
    assert (upstream.index, upstream.feed, upstream.connections) == ("https://index.test", "json", 64)
    assert (upstream.poll_interval, upstream.file_hosts) == (0.25, ("127.0.0.1:8080",))
    assert upstream.proxy == "http://proxy.test:3128"
    assert settings.select.projects == ("zope-interface",)
    assert (settings.content.files, settings.content.metadata, settings.content.legacy_json) == (False, True, True)
    assert (limits.max_removed_projects, limits.max_removed_bytes, limits.min_free) == (0, 500_000_000_000, 0)
    assert limits.removal_grace == 9_000


def test_relative_paths_start_at_the_files_directory(file: Path) -> None:
    (file.parent / "ca.pem").touch()
    file.write_text(HEAD.replace("/srv/pypi", "./mirror") + '[upstream]\nca-file = "ca.pem"\n')
    settings = load(Path(os.path.relpath(file)), {})
    assert settings.mirror.directory == file.parent.resolve() / "mirror"
    assert settings.upstream.ca_file is not None
    assert settings.upstream.ca_file.samefile(file.parent / "ca.pem")


def test_missing_certificate_file_is_refused(file: Path) -> None:
    file.write_text(HEAD + '[upstream]\nca-file = "ca.pem"\n')
    with pytest.raises(BadConfig, match=r"ca-file is .*no such file"):
        load(file, {})


def test_byte_order_mark_is_ignored(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode())
    assert load(file, {}).mirror.contact == "ops@site.test"


def test_syntax_error_has_its_line_and_column() -> None:
    error = refusal(HEAD + "[upstream]\nfeed = auto\n")
    assert "not valid TOML" in error.what
    assert "line 5, column 8" in error.why


@pytest.mark.parametrize("text", ["a = " + "[" * 10_000, "a = " + "9" * 5_000])
def test_toml_that_exhausts_the_parser_is_refused(text: str) -> None:
    assert "not valid TOML" in refusal(text).what


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        (HEAD + "[upsteam]\n", "'upsteam' is not a known section", "did you mean upstream?"),
        (HEAD + "[upstream]\nconections = 3\n", "'conections' is not a known key in [upstream]", "mean connections?"),
        (HEAD + '[upstream]\npoll_interval = "90s"\n', "'poll_interval'", "did you mean poll-interval?"),
        (HEAD + "[upstream]\nmin-free = 1\n", "'min-free'", "min-free belongs in [limits]"),
        (HEAD + "[upstream]\nfiles = true\n", "'files'", "files belongs in [content]"),
        ('directory = "/srv"\n', "'directory'", "directory belongs in [mirror]"),
        (HEAD + "[select]\nzzz = 1\n", "'zzz'", "known are projects, exclude"),
    ],
)
def test_unknown_key_gets_a_suggestion(text: str, what: str, hint: str) -> None:
    error = refusal(text)
    assert what in error.what
    assert hint in error.hint


@pytest.mark.parametrize(
    ("line", "what", "why"),
    [
        ("connections = '10'", "connections is '10'", "it takes a whole number from 1 to 64"),
        ("connections = 65", "connections is 65", "it takes a whole number from 1 to 64"),
        ("connections = 2.5", "connections is 2.5", "it takes a whole number"),
        ("connections = true", "connections is true", "it takes a whole number"),
        ("allow-http = 1", "allow-http is 1", "it takes true or false"),
        ("allow-http = 'true'", "allow-http is 'true'", "it takes true or false"),
        ("feed = 'jsn'", "feed is 'jsn'", 'it takes one of "auto", "xmlrpc", "json"'),
        ("file-hosts = 'files.test'", "file-hosts is 'files.test'", "it takes a list of texts"),
        ("file-hosts = [1]", "file-hosts is a list", "it takes a list of texts"),
        ("poll-interval = 60", "poll-interval is 60", "it takes a duration in quotes"),
        ("poll-interval = 'soon'", "poll-interval is 'soon'", "'soon' is not a duration"),
        ("ca-file = ''", "ca-file is ''", "a path cannot be empty"),
        ("index = 2024-01-01", "index is a date", "it takes a text in quotes"),
        ("index = {}", "index is a section", "it takes a text in quotes"),
    ],
)
def test_wrong_type_is_refused_with_the_right_type_and_an_example(line: str, what: str, why: str) -> None:
    error = refusal(f"{HEAD}[upstream]\n{line}\n")
    assert f"[upstream] {what}" in error.what
    assert why in error.why
    assert f"for example {line.partition(' ')[0]} = " in error.hint


def test_size_without_quotes_gets_a_quoted_example() -> None:
    error = refusal(f"{HEAD}[limits]\nmin-free = 0\n")
    assert error.hint == 'for example min-free = "20 GiB"'


@pytest.mark.parametrize("key", ["directory", "contact"])
def test_missing_required_key_gets_an_example(key: str) -> None:
    error = refusal("\n".join(line for line in HEAD.splitlines() if not line.startswith(key)))
    assert f"[mirror] {key} is missing" in error.what
    assert f"for example {key} = " in error.hint


def test_empty_file_reports_the_first_missing_key() -> None:
    assert "[mirror] directory is missing" in refusal("").what


def test_section_written_as_a_key_is_explained() -> None:
    error = refusal('upstream = "pypi"\n' + HEAD)
    assert "upstream is 'pypi'" in error.what
    assert "write [upstream]" in error.hint


def test_schema_errors_name_the_file() -> None:
    assert "[upstream] poll-interval is 30s" in refusal(HEAD + '[upstream]\npoll-interval = "30s"\n').what


def test_home_of_an_unknown_user_is_refused() -> None:
    assert "directory is '~nobody-at-all/x'" in refusal(HEAD.replace("/srv/pypi", "~nobody-at-all/x")).what


@given(st.text())
def test_any_text_is_accepted_or_refused(text: str) -> None:
    with pytest.raises(BadConfig):
        parse(text, Path("site.toml"), {})


class TestSecrets:
    PROXY = HEAD + '[upstream]\nproxy = "credential:proxy"\n'

    def test_password_in_the_file_is_refused_and_masked(self) -> None:
        error = refusal(HEAD + '[upstream]\nproxy = "http://user:hunter2@proxy.test"\n')
        assert "credential:proxy" in error.hint
        assert "$CREDENTIALS_DIRECTORY/proxy" in error.hint
        assert "hunter2" not in f"{error} {error.hint}"

    def test_credential_is_read_from_its_directory(self, tmp_path: Path) -> None:
        (tmp_path / "proxy").write_text("http://user:hunter2@proxy.test:3128\n")
        settings = parse(self.PROXY, Path("site.toml"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert settings.upstream.proxy == "http://user:hunter2@proxy.test:3128"
        assert "hunter2" not in repr(settings)

    def test_credential_that_is_no_url_is_refused_and_masked(self, tmp_path: Path) -> None:
        (tmp_path / "proxy").write_text("hunter2")
        with pytest.raises(BadConfig, match="credential proxy is not a proxy") as caught:
            parse(self.PROXY, Path("site.toml"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert "hunter2" not in f"{caught.value} {caught.value.hint}"

    def test_missing_credential_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BadConfig, match=f"{tmp_path}/proxy does not exist"):
            parse(self.PROXY, Path("site.toml"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    def test_missing_credentials_directory_is_explained(self) -> None:
        error = refusal(self.PROXY)
        assert "$CREDENTIALS_DIRECTORY is not set" in error.why
        assert "LoadCredential=" in error.hint

    @pytest.mark.parametrize("name", ["", "..", "../secret", "/etc/shadow"])
    def test_credential_cannot_leave_its_directory(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "secret").write_text("http://proxy.test")
        text = self.PROXY.replace("credential:proxy", f"credential:{name}")
        with pytest.raises(BadConfig, match="plain file name"):
            parse(text, Path("site.toml"), {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})


class TestFiles:
    def test_missing_file_is_named(self, file: Path) -> None:
        with pytest.raises(BadConfig, match="does not exist") as caught:
            load(file, {})
        assert f"mirrorsync init {file}" in caught.value.hint

    def test_directory_gets_the_file_in_it_as_a_hint(self, tmp_path: Path) -> None:
        with pytest.raises(BadConfig, match="is a directory") as caught:
            load(tmp_path, {})
        assert str(tmp_path / "mirrorsync.toml") in caught.value.hint

    def test_invalid_utf8_has_its_line(self, file: Path) -> None:
        file.write_bytes(HEAD.encode() + b"# caf\xe9\n")
        with pytest.raises(BadConfig, match="is not UTF-8: line 4"):
            load(file, {})

    def test_symlink_loop_is_refused_with_the_systems_message(self, file: Path) -> None:
        file.symlink_to(file)
        with pytest.raises(BadConfig, match="cannot be read: Too many levels"):
            load(file, {})


class TestWhereItIsLookedFor:
    def test_option_precedes_the_variable(self) -> None:
        assert find(Path("a.toml"), {"MIRRORSYNC_CONFIG": "b.toml"}) == Path("a.toml")

    def test_variable_precedes_this_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mirrorsync.toml").touch()
        assert find(None, {"MIRRORSYNC_CONFIG": "b.toml"}) == Path("b.toml")
        assert find(None, {"MIRRORSYNC_CONFIG": ""}) == Path("mirrorsync.toml")

    def test_error_names_every_searched_place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if PLACES[-1].exists():
            pytest.skip(f"{PLACES[-1]} is there")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(BadConfig) as caught:
            find(None, {})
        assert "$MIRRORSYNC_CONFIG" in caught.value.why
        assert all(str(place) in caught.value.why for place in PLACES)
        assert "mirrorsync init" in caught.value.hint
