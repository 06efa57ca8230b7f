"""Make ICC profiles, for photos that are not in sRGB."""

import struct

D50 = (0.9642, 1.0, 0.8249)  # the white of ICC profiles, ICC.1:2022, 7.2.16
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
"""The colorants of Display P3 (SMPTE EG 432-1 with the white of sRGB), seen under D50; its gamma is close to 2.2."""
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))  # XYZ of R, G, B
"""Adobe RGB (1998), 4.3.5.3: the colorants of its ICC profile, seen under D50; its gamma is 2.19921875."""


def icc_profile(space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """Put together an ICC profile of version 2 (ICC.1:2001-04, 6.1: header, table of tags, tags)."""
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s4s4s4s4s8sI12s", 132 + 12 * len(tags) + len(data), b"", 0x02100000, kind, space, pcs,
        bytes(12), b"acsp", b"", b"", b"", b"", b"", 0, fixed(D50),
    )  # fmt: skip
    return header.ljust(128, b"\0") + table + data


def rgb_profile(colorants=ADOBE_RGB, gamma: float = 2.19921875) -> bytes:
    """Return a profile of three colorants (XYZ under D50) and one gamma."""
    tags = {b"wtpt": xyz_tag(D50)} | {
        name: xyz_tag(xyz) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True)
    }
    return icc_profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma_tag(gamma)))


def grey_profile(gamma: float) -> bytes:
    """Return a grey profile of one gamma."""
    return icc_profile(b"GRAY", {b"wtpt": xyz_tag(D50), b"kTRC": gamma_tag(gamma)})


def fixed(values) -> bytes:
    """Encode numbers as s15Fixed16Number."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def xyz_tag(values) -> bytes:
    """Return a tag of one colour in XYZ."""
    return b"XYZ " + bytes(4) + fixed(values)


def gamma_tag(gamma: float) -> bytes:
    """Return a tag of a tone curve with one gamma."""
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))
