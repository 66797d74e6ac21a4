"""Words for what the operating system says of files and disks."""

import errno

_SYSTEM = {
    errno.ENOENT: "there is no such file or folder; name one that is there",
    errno.EACCES: "this user may not touch it; change its owner or its rights (chown, chmod)",
    errno.EPERM: "this user may not touch it; change its owner or its rights (chown, chmod)",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENOTDIR: "a part of its path is a file, not a folder; correct the path",
    errno.EEXIST: "it is there already; remove it, or name another",
    errno.ELOOP: "it is a link that leads to itself; name the file itself",
    errno.ENAMETOOLONG: "its name is too long; take a shorter one",
    errno.EINVAL: "its name or its place cannot be used; name another",
    errno.ENOSPC: "there is no room left on the disk; make room",
    errno.EDQUOT: "this user has no room left on the disk (quota); make room",
    errno.EFBIG: "it would become larger than files may be here; raise the limit (ulimit -f)",
    errno.EROFS: "the disk cannot be written to (read-only); name another place",
    errno.EIO: "the disk failed to read or write it; look at the disk",
    errno.ESTALE: "the network folder that it lies in is gone; mount it again",
    errno.ETXTBSY: "a program uses it; name another",
    errno.ENXIO: "there is no such device; connect it, or name a file",
    errno.ESPIPE: "it is a pipe or a device, not a regular file; name a regular file",
    errno.ENODEV: "there is no such device; connect it, or name a file",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine; close programs",
}
"""Meanings of the system's errors, and the remedy of each."""


def plain(error: Exception) -> str:
    """Return what an error of the system (or a path that cannot be one) means, and the remedy, in plain words."""
    if isinstance(error, OSError):
        return _SYSTEM.get(error.errno or 0, f"{error.strerror or 'the system refuses it'}; mend that")
    return "its name cannot be that of a file; correct it"
