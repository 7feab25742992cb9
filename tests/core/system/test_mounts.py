"""Which file system a folder lies on, and whether its locks hold between machines: files as Linux has them."""

from pathlib import Path

import pytest

from aecli.core.system.mounts import mount_of, mounts

TABLE = """
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2,local_lock=none,addr=10.0.0.1
41 27 0:41 / /old rw,relatime - nfs server:/old rw,vers=3,nolock,local_lock=all
42 27 0:42 / /scratch rw,flock - lustre 10.0.0.2@tcp:/scratch rw,flock
43 27 0:43 / /work rw - lustre 10.0.0.2@tcp:/work rw,localflock
44 40 0:44 /sub /home/me/my\\040disk rw - fuse.sshfs me@there:/ rw
45 27 0:45 / /scratch rw - tmpfs none rw
- nonsense
1 2 3 -
"""


@pytest.fixture
def root() -> Path:
    file = Path("system/proc/self/mountinfo")
    file.parent.mkdir(parents=True)
    file.write_text(TABLE)
    return Path("system")


@pytest.mark.parametrize(
    ("path", "kind", "local"),
    [
        ("/", "ext4", None),
        ("/homes/x", "ext4", None),
        ("/home/me/runs", "nfs4", None),
        ("/old/runs", "nfs", "local_lock=all"),
        ("/scratch/me", "tmpfs", None),
        ("/work", "lustre", "localflock"),
        ("/home/me/my disk/runs", "fuse.sshfs", "fuse.sshfs"),
    ],
)
def test_a_folder_lies_on_the_innermost_mount_and_the_last_in_a_place(root, path, kind, local):
    mount = mount_of(Path(path), root)
    assert mount is not None
    assert (mount.kind, mount.local_locks) == (kind, local)


def test_lines_of_nonsense_are_no_mounts(root):
    assert len(list(mounts(root))) == 7


def test_a_system_without_the_table_has_no_mounts():
    assert mount_of(Path("/home"), Path("nowhere")) is None
