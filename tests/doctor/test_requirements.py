import pytest
from packaging.specifiers import SpecifierSet

from bears_tl.doctor.requirements import fits


@pytest.mark.parametrize("bounds", [">=2.19,<2.22", "==2.21.*", "==1.1.0", "~=2.20", "!=2.21.0", ">2.21,<=3", "<9.6"])
@pytest.mark.parametrize("version", ["2.18.9", "2.19", "2.19.0", "2.21.0", "2.21", "2.21.1", "2.22.0", "1.1.0", "3.0"])
def test_a_version_fits_where_packaging_says_so(version, bounds):
    assert fits(version, bounds) == SpecifierSet(bounds).contains(version)
