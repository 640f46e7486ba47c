"""How the status page looks, and what a browser may do with it. Pure."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from mirrorsync.status.page_values import Level

STYLE: Final = """
:root{color-scheme:light dark;--ground:#f6f6f3;--sheet:#fff;--text:#1c2126;--quiet:#545c64;--line:#dcdcd6;\
--link:#0a54a0;--bar:#3d7cb8;--none:#ebebe6;--fresh:#17683a;--late:#855000;--trouble:#a8201a;--cell:17rem}
@media (prefers-color-scheme:dark){:root{--ground:#14171a;--sheet:#1c2024;--text:#e8eaec;--quiet:#a6aeb6;\
--line:#343a40;--link:#8abdff;--bar:#5f9fdc;--none:#262b30;--fresh:#72d19a;--late:#edb94f;--trouble:#ff938a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--text);overflow-wrap:anywhere;\
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
header,main,footer{max-width:60rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
h1,h2,h3,p,dl,dd,ul,figure,pre{margin:0}
h1{font-size:clamp(1.4rem,.9rem + 2.6vw,2.25rem);line-height:1.2;letter-spacing:-.015em;font-weight:650}
h2{font-size:1.2rem;line-height:1.3;font-weight:650;margin-bottom:.9rem}
h3{font-size:1rem;font-weight:650}
.kind,.small,small,dt,figcaption,footer,.scale,.ends,caption{color:var(--quiet);font-size:.875rem}
section{margin-top:2.75rem}
a{color:var(--link);text-underline-offset:.15em}
:focus-visible{outline:3px solid var(--link);outline-offset:3px;border-radius:.2rem}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.875em}
.skip{position:absolute;left:-99rem;background:var(--sheet);padding:.6rem 1rem}
.skip:focus{left:.5rem;top:.5rem}
.state{display:flex;gap:1rem;align-items:flex-start;margin-top:1.5rem;padding:1.4rem 1.4rem 1.3rem;\
background:var(--sheet);border:1px solid var(--line);border-left:.35rem solid;border-radius:.6rem}
.state h2{font-size:1.45rem;margin-bottom:.3rem}
.state .small{margin-top:.6rem}
.state svg{flex:none;width:2rem;height:2rem}
.state.fresh{border-left-color:var(--fresh)}
.state.late{border-left-color:var(--late)}
.state.trouble{border-left-color:var(--trouble)}
.fresh>svg,.fresh h2{color:var(--fresh)}
.late>svg,.late h2{color:var(--late)}
.trouble>svg,.trouble h2{color:var(--trouble)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,var(--cell)),1fr));\
background:var(--sheet);border:1px solid var(--line);border-radius:.6rem;overflow:hidden}
.facts div{padding:.9rem 1.1rem;box-shadow:1px 1px 0 var(--line)}
dd{font-size:1.1rem;font-weight:600;font-variant-numeric:tabular-nums}
dd small{display:block;font-weight:400;line-height:1.4}
.snippets,.charts{display:grid;gap:1.25rem}
.snippets p{font-size:.9375rem;margin:.1rem 0 .4rem}
section>p{margin-bottom:1rem}
ul~p,.snippets+p{margin-top:1rem}
.snippets pre+p{margin-top:.6rem}
pre{white-space:pre-wrap;background:var(--sheet);border:1px solid var(--line);border-radius:.4rem;padding:.7rem .9rem}
.plot{display:grid;grid-template-columns:1fr auto;gap:.3rem .6rem;margin-top:.4rem}
.plot svg{width:100%;height:7rem;display:block;border-bottom:1px solid var(--quiet)}
.scale,.ends{display:flex;justify-content:space-between;font-size:.75rem;font-variant-numeric:tabular-nums}
.scale{flex-direction:column;line-height:1;width:4.5rem;text-align:right}
.bar{fill:var(--bar)}
.unknown{fill:var(--none)}
.grid{fill:none;stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke}
figcaption strong{color:var(--text);font-weight:600;margin-right:.4rem}
details{margin-top:1.25rem}
summary{cursor:pointer;color:var(--link)}
table{width:100%;border-collapse:collapse;margin-top:.75rem;font-size:.875rem;font-variant-numeric:tabular-nums;\
overflow-wrap:normal}
tbody th{white-space:nowrap}
caption{text-align:left;padding-bottom:.4rem}
th,td{padding:.35rem 0 .35rem .5rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}
th:first-child{text-align:left;padding-left:0}
.unmet,.places{list-style:none;padding:0}
.unmet+details{margin:0}
.unmet+details ul{margin-top:.8rem}
.unmet li{background:var(--sheet);border:1px solid var(--line);border-radius:.5rem;padding:.8rem 1.1rem;\
margin-bottom:.6rem}
.places li{margin-bottom:.35rem}
footer{margin-top:3rem;padding-bottom:2.5rem}
@media (max-width:40rem){:root{--cell:9.5rem}header{padding-top:1.5rem}.state{padding:1.1rem;gap:.7rem}\
.facts div{padding:.8rem .9rem}dd{font-size:1rem}\
table{font-size:.75rem}.scale{width:3.7rem}.facts div:last-child:nth-child(odd){grid-column:1/-1}}
@media (max-width:23rem){table{overflow-wrap:anywhere}tbody th{white-space:normal}}
@media print{.skip,summary{display:none}}
"""

_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
META_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; img-src data:; base-uri 'none'; form-action 'none'"
)
"""For the page itself: this style and no other, no script, and nothing from anywhere."""

_SHAPES: Final[Mapping[Level, str]] = {
    Level.FRESH: '<circle cx="12" cy="12" r="10"/><path d="m7.5 12.5 3 3 6-6.5"/>',
    Level.LATE: '<circle cx="12" cy="12" r="10"/><path d="M12 6.5V12l3.5 2.5"/>',
    Level.TROUBLE: '<path d="M12 2.5 1.8 20.5h20.4z"/><path d="M12 9v5.5M12 17.4v.2"/>',
}
"""A tick, a clock, a warning sign: a state is told by more than its colour."""
_COLOURS: Final[Mapping[Level, str]] = {Level.FRESH: "#17683a", Level.LATE: "#b06f00", Level.TROUBLE: "#c9302a"}
_DRAWN: Final = 'fill="none" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'


def icon(level: Level) -> str:
    """Return the sign beside the headline, which says the same in words."""
    return f'<svg viewBox="0 0 24 24" aria-hidden="true" stroke="currentColor" {_DRAWN}>{_SHAPES[level]}</svg>'


def favicon(level: Level) -> str:
    """Return the sign as a data: URL."""
    drawn = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" stroke="{_COLOURS[level]}" {_DRAWN}>'
        f"{_SHAPES[level]}</svg>"
    )
    return f"data:image/svg+xml,{quote(drawn)}"
