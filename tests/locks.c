/* The locks of shared file systems, to be loaded before the C library (LD_PRELOAD). Environment variables say which:

   FLOCK_ERROR=N     flock answers error N, as where a file system has no locks
   FLOCK_NFS=1       flock locks alone only by a descriptor that can write, as NFS
   STALE=open:2      the first two calls of open, flock, fstat or ftruncate on a file `.lock` answer ESTALE, as NFS does
                     when another machine has removed the file */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int ends_in_lock(const char *path) {
    size_t length = strlen(path);
    return length >= 6 && !strcmp(path + length - 6, "/.lock");
}

/* Whether this call is one of the first that find the file gone. */
static int is_stale(const char *call, const char *path) {
    static int calls;
    const char *said = getenv("STALE");
    if (!said || !ends_in_lock(path) || strncmp(said, call, strlen(call)) || said[strlen(call)] != ':') return 0;
    if (__atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST) >= atoi(said + strlen(call) + 1)) return 0;
    errno = ESTALE;
    return 1;
}

static int file_is_stale(const char *call, int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_stale(call, path);
}

int flock(int file, int operation) {
    const char *error = getenv("FLOCK_ERROR");
    if (error) {
        errno = atoi(error);
        return -1;
    }
    if (getenv("FLOCK_NFS") && operation & LOCK_EX && (fcntl(file, F_GETFL) & O_ACCMODE) == O_RDONLY) {
        errno = EBADF;
        return -1;
    }
    return file_is_stale("flock", file) ? -1 : REAL(flock)(file, operation);
}

#define ON_OPEN(name) \
    int name(const char *path, int flags, ...) { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags), mode = va_arg(more, mode_t), va_end(more); \
        } \
        return is_stale("open", path) ? -1 : REAL(name)(path, flags, mode); \
    }

ON_OPEN(open)
ON_OPEN(open64)

int fstat(int file, struct stat *about) { return file_is_stale("fstat", file) ? -1 : REAL(fstat)(file, about); }
int fstat64(int file, struct stat64 *about) { return file_is_stale("fstat", file) ? -1 : REAL(fstat64)(file, about); }
int ftruncate(int file, off_t size) { return file_is_stale("ftruncate", file) ? -1 : REAL(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) { return file_is_stale("ftruncate", file) ? -1 : REAL(ftruncate64)(file, size); }
