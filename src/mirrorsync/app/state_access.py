"""The state as `status` and `project` use it: without the pipeline, beside a running daemon."""

from mirrorsync.app.mirror_directory import refuse_root, state_path
from mirrorsync.config.schema import Settings
from mirrorsync.errors import UnknownProject
from mirrorsync.model.identity import ProjectName
from mirrorsync.model.wording import did_you_mean
from mirrorsync.state.project_report import ProjectReport, make_due, project_report, similar_names
from mirrorsync.state.report import Report, read_report, reading


def mirror_report(settings: Settings) -> Report:
    """Return the report of the mirror. Raises: BadConfig, when there is no mirror yet; NewerSchema; StoreError."""
    return read_report(state_path(settings.mirror.directory))


def show_project(settings: Settings, name: ProjectName) -> ProjectReport:
    """Return a project's ledger. Raises: UnknownProject; BadConfig, when there is no mirror yet; StoreError."""
    with reading(state_path(settings.mirror.directory)) as connection:
        found = project_report(connection, name)
        if found is None:
            raise UnknownProject(
                f"this mirror has no project {name}",
                hint=did_you_mean(name, similar_names(connection, name))
                or "check the spelling; the mirror learns of newly selected projects at the next `mirrorsync sync`",
            )
        return found


def retry_project(settings: Settings, name: ProjectName) -> None:
    """Make a project due at once. Raises: as `show_project`; BadConfig, for root in another user's mirror."""
    refuse_root(settings.mirror.directory)
    show_project(settings, name)
    make_due(state_path(settings.mirror.directory), name)
