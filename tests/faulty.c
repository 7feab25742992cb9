/* A disk that fails and a clock that jumps, to be loaded before the C library (LD_PRELOAD). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING, WRITES, READS };

static char folder[PATH_MAX];
static int kind = NOTHING, failure;
static long first, last, calls;
static long long step, moved;

/* Count calls of this kind on files in the folder `path` from now on; `times` of them, from number `at` on, fail. */
void faulty_begin(const char *path, int of_kind, long at, long times, int error) {
    snprintf(folder, sizeof folder, "%s/", path);
    first = at, last = at + times, failure = error;
    __atomic_store_n(&calls, 0, __ATOMIC_SEQ_CST);
    kind = of_kind;
}

/* Let everything succeed again; return how many calls there were. */
long faulty_end(void) {
    kind = NOTHING;
    return calls;
}

/* Let the clock of the day be so many seconds off, and `by` more after every look at it. */
void faulty_clock(long long seconds, long long by) { moved = seconds, step = by; }

static int fails(const char *path) {
    if (strncmp(path, folder, strlen(folder))) return 0;
    long call = __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
    if (call < first || call >= last) return 0;
    errno = failure;
    return 1;
}

static int file_fails(int of_kind, int file) {
    char link[64], path[PATH_MAX];
    if (kind != of_kind) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(path);
}

static int path_fails(const char *path) {
    char here[PATH_MAX], whole[2 * PATH_MAX];
    if (kind != WRITES) return 0;
    if (path[0] == '/') return fails(path);
    if (!getcwd(here, sizeof here)) return 0;
    snprintf(whole, sizeof whole, "%s/%s", here, path);
    return fails(whole);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_FILE(of_kind, result, name, parameters, arguments) \
    result name parameters { return file_fails(of_kind, file) ? -1 : REAL(name) arguments; }
#define ON_PATH(name, parameters, arguments) \
    int name parameters { return path_fails(path) ? -1 : REAL(name) arguments; }
#define ON_OPEN(name, first_parameters, first_arguments) \
    int name first_parameters { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags), mode = va_arg(more, mode_t), va_end(more); \
            if (path_fails(path)) return -1; \
        } \
        return REAL(name) first_arguments; \
    }

ON_FILE(WRITES, ssize_t, write, (int file, const void *data, size_t size), (file, data, size))
ON_FILE(WRITES, ssize_t, pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at))
ON_FILE(WRITES, ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at))
ON_FILE(WRITES, ssize_t, writev, (int file, const struct iovec *parts, int count), (file, parts, count))
ON_FILE(WRITES, int, ftruncate, (int file, off_t size), (file, size))
ON_FILE(WRITES, int, ftruncate64, (int file, off64_t size), (file, size))
ON_FILE(WRITES, int, fdatasync, (int file), (file))
ON_FILE(READS, ssize_t, read, (int file, void *data, size_t size), (file, data, size))
ON_FILE(READS, ssize_t, pread, (int file, void *data, size_t size, off_t at), (file, data, size, at))
ON_FILE(READS, ssize_t, pread64, (int file, void *data, size_t size, off64_t at), (file, data, size, at))
ON_FILE(READS, ssize_t, readv, (int file, const struct iovec *parts, int count), (file, parts, count))
ON_PATH(rename, (const char *path, const char *to), (path, to))
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode))
ON_OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
ON_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
ON_OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))
ON_OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode))

int fsync(int file) {
    struct stat found;
    /* Of a folder it is the last touch, which some file systems do not know. */
    if (!fstat(file, &found) && S_ISDIR(found.st_mode)) return REAL(fsync)(file);
    return file_fails(WRITES, file) ? -1 : REAL(fsync)(file);
}

static long long off(void) { return __atomic_fetch_add(&moved, step, __ATOMIC_SEQ_CST); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = REAL(clock_gettime)(clock, now);
    if (!result && clock == CLOCK_REALTIME) now->tv_sec += off();
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    int result = REAL(gettimeofday)(now, zone);
    if (!result) now->tv_sec += off();
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
