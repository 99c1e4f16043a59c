"""What a plot shows, read from its SVG: texts, labelled ticks, open and filled marks. Not for: how it looks."""

import re
import xml.etree.ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return [t.text for t in ET.fromstring(svg).iter(f"{SVG}text")]


def ticks(svg, axis):
    """Labels of each part's x or y axis, by the part."""
    found = []
    for part in ET.fromstring(svg).iter(f"{SVG}g"):
        if re.search(r"-axes_\d+$", part.get("id", "")):
            own = [g for g in part.iter(f"{SVG}g") if f"-{axis}tick_" in g.get("id", "")]
            found.append([t.text for g in own for t in g.iter(f"{SVG}text")])
    return found


def lines(svg):
    """(dashed or not, points) of each line that is drawn; grid and marks left out."""
    found = []
    for part in ET.fromstring(svg).iter(f"{SVG}g"):
        if re.search(r"-axes_\d+$", part.get("id", "")):
            for group in part.findall(f"{SVG}g"):
                for path in group.findall(f"{SVG}path") if "-line2d_" in group.get("id", "") else []:
                    points = re.findall(r"[ML] (\S+) (\S+)", path.get("d", ""))
                    dashed = "stroke-dasharray" in path.get("style", "")
                    found.append((dashed, [(float(x), float(y)) for x, y in points]))
    return found


def fills(svg):
    """The colour that each scatter's points are filled with; 'white' is an open one."""
    groups = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if "PathCollection" in g.get("id", "")]
    styles = [" ".join(e.get("style", "") for e in g.iter()) for g in groups]
    found = [re.search(r"fill: (#\w+)", s) for s in styles]
    return ["white" if f and f[1] in ("#ffffff", "#fff") else f and f[1] for f in found]
