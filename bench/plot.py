"""The pictures of the comparisons: horizontal bars, named at their left, to be read on a light and
on a dark page, at four fifths of their size."""

import html

WIDTH, LEFT, RIGHT = 760, 150, 80  # Room for the names, and for the figures behind the bars.
BAR, SPACE, HEAD, GAP, TOP = 13, 5, 24, 14, 34
TEXT, TITLE = 14, 17  # Sizes in pixels.
# By proxy, on light and on dark ground; whatever is not named here takes the first colours in turn.
COLOURS = (("#0b62c4", "#58a6ff"), ("#2e8540", "#56d364"), ("#b45f06", "#f0a35e"),
           ("#8250df", "#bc8cff"), ("#d39a5b", "#c7864a"), ("#8a939c", "#8b949e"))
PROXIES = {"weir": 0, "nginx": 1, "haproxy": 2, "haproxy splice": 4, "floor": 5, "floor_close": 5,
           "floor_close deferred": 5, "floor_splice": 5}


def bars_svg(title: str, groups: dict[str, dict[str, float]]) -> str:
    """One group for each scene, in it one bar for each proxy. Scenes whose names end in a unit in
    brackets have scales of their own; the others share one. All of them begin at 0."""
    parts, y = [text_svg(10, 22, title, "title")], TOP
    others = [name for name in dict.fromkeys(name for group in groups.values() for name in group)
              if name not in PROXIES]
    for scene, group in groups.items():
        parts.append(text_svg(10, y + HEAD - 8, scene, "scene"))
        y += HEAD
        most = max(scale_of(scene, groups), default=0) or 1
        for name, value in group.items():
            width = value / most * (WIDTH - LEFT - RIGHT)
            colour = PROXIES[name] if name in PROXIES else others.index(name) % len(COLOURS)
            parts.append(text_svg(LEFT - 8, y + BAR - 1, name, "name"))
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{max(width, 1):.1f}" height="{BAR}" '
                         f'class="c{colour}"/>')
            parts.append(text_svg(LEFT + width + 6, y + BAR - 1, figure(value)))
            y += BAR + SPACE
        y += GAP
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
            f'height="{y}" role="img" font-family="sans-serif" font-size="{TEXT}">\n{style()}'
            '<rect width="100%" height="100%" class="ground"/>\n' + "\n".join(parts)
            + "\n</svg>\n")


def scale_of(scene: str, groups: dict[str, dict[str, float]]) -> list[float]:
    """The values that are drawn to one scale with this scene."""
    if scene.endswith(")"):
        return list(groups[scene].values())
    return [value for other, group in groups.items() if not other.endswith(")")
            for value in group.values()]


def figure(value: float) -> str:
    """Three digits, and never an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def style() -> str:
    def rules(ground: str, text: str, index: int) -> str:
        return (f".ground{{fill:{ground}}}text{{fill:{text}}}"
                + "".join(f".c{i}{{fill:{pair[index]}}}" for i, pair in enumerate(COLOURS)))

    return (f"<style>{rules('#ffffff', '#1f2328', 0)}.title{{font-size:{TITLE}px}}"
            ".scene{font-weight:bold}.name{text-anchor:end}"
            f"@media(prefers-color-scheme:dark){{{rules('#0d1117', '#e6edf3', 1)}}}</style>\n")


def text_svg(x: float, y: float, text: str, kind: str = "") -> str:
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y}"{kind}>{html.escape(text)}</text>'
