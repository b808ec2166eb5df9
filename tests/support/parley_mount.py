"""Small file systems of a test's own: they can be filled, and their power can be cut. Root only, else the test is
skipped. They are mounted where nobody else sees them: a mount namespace that is made meanwhile, a container's for one, would
copy the mount, and a file system whose power was cut would live on in it. Python's standard library alone."""

import contextlib
import ctypes
import fcntl
import os
import struct
import subprocess

from parley_test import Failure, Skip, need_tool

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
SHUTDOWN_NOLOGFLUSH = 2  # nothing is written any more, the journal neither: what a cut of power leaves
CLONE_NEWNS = 0x00020000
MIB = 1 << 20
_private = False


def command(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise Failure(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def mount_privately():
    """From here on what this thread and its children mount is theirs, and goes with them."""
    global _private
    if _private:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise Skip(f"no mounts of one's own here ({os.strerror(ctypes.get_errno())})")
    command("mount", "--make-rprivate", "/", check=False)  # in a chroot there is no mount to change: it stays as it was
    _private = True


class Ext4:
    """An ext4 file system in an image file, mounted on a folder."""

    def __init__(self, folder, size_mib=64):
        if os.geteuid() != 0:
            raise Skip("needs root, to mount")
        mount_privately()
        self.image = os.path.join(folder, "disk.img")
        self.path = os.path.join(folder, "disk")
        os.makedirs(self.path, exist_ok=True)
        with open(self.image, "wb") as image:
            image.truncate(size_mib * MIB)
        command(need_tool("mkfs.ext4"), "-q", "-F", self.image)

    def __enter__(self):
        self.mount()
        return self

    def __exit__(self, *_):
        self.unmount(check=False)

    def mount(self):
        done = command("mount", "-o", "loop", self.image, self.path, check=False)
        if done.returncode != 0:
            raise Skip(f"no loop mounts here ({done.stderr.strip()})")

    def unmount(self, check=True):
        command("umount", self.path, check=check)

    def cut_power(self):
        disk = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(disk, EXT4_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_NOLOGFLUSH))
        finally:
            os.close(disk)

    def power_on(self):
        """As a machine comes up again: the journal is replayed by the check or by the mount."""
        self.unmount()
        done = command(need_tool("e2fsck"), "-fp", self.image, check=False)
        if done.returncode > 1:
            raise Failure(f"e2fsck: {done.stdout}{done.stderr}")
        self.mount()

    @contextlib.contextmanager
    def full(self):
        """Not a block is free while the block runs."""
        filler = os.path.join(self.path, "filler")
        try:
            self.fill(filler)
            yield filler
        finally:
            if os.path.exists(filler):
                os.remove(filler)

    def fill(self, filler):
        with open(filler, "ab", buffering=0) as file:
            for size in (MIB, 4096, 512, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * size)
            with contextlib.suppress(OSError):
                os.fsync(file.fileno())
