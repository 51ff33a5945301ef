/* fuzz.h - what the fuzzers share that include the whole program: it ends by a jump, speaks to us, opens only the
 * input, and what it allocates ends with the input
 *
 * A fuzzer X is two programs:
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz/X.c -o fuzz-X && ./fuzz-X tests/fuzz/corpus/X
 *   cc -DREPLAY tests/fuzz/X.c -o replay-X && ./replay-X tests/fuzz/corpus/X/(all of them) */
#ifndef FUZZ_H
#define FUZZ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <assert.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int sandlock_main(int argc, char **argv);
__attribute__((noreturn)) void fuzz_exit(int status);
int fuzz_open(const char *path, int flags, ...);
ssize_t fuzz_write(int fd, const void *bytes, size_t len);
void *fuzz_calloc(size_t n, size_t size);
void fuzz_free(void *p);
void *fuzz_realloc(void *old, size_t size);
void *fuzz_reallocarray(void *old, size_t n, size_t size);
char *fuzz_strdup(const char *text);
char *fuzz_strndup(const char *text, size_t len);
int fuzz_asprintf(char **to, const char *format, ...);

#define exit fuzz_exit
#define main sandlock_main
#define open fuzz_open
#define write fuzz_write
#define calloc fuzz_calloc
#define free fuzz_free
#define realloc fuzz_realloc
#define reallocarray fuzz_reallocarray
#define strdup fuzz_strdup
#define strndup fuzz_strndup
#define asprintf fuzz_asprintf
#include "../../sandlock.c"
#undef exit
#undef main
#undef open
#undef write
#undef calloc
#undef free
#undef realloc
#undef reallocarray
#undef strdup
#undef strndup
#undef asprintf

enum { FUZZ_KEPT_MAX = 1 << 16 };

static jmp_buf fuzz_end;              /* where die() goes */
static const char *fuzz_file_path;    /* the one file there is, or NULL */
static int fuzz_file = -1;            /* a memfd with its content */
static char fuzz_said[MESSAGE_MAX];   /* the last line said */
static size_t fuzz_said_len;

void fuzz_exit(int status)
{
    assert(status == EXIT_OURS && fuzz_said_len > 0); /* a reason was given */
    longjmp(fuzz_end, 1);
}

/* One line, nothing in it that could forge another or drive a terminal. */
ssize_t fuzz_write(int fd, const void *bytes, size_t len)
{
    const unsigned char *text = bytes;

    if (fd != STDERR_FILENO)
        return write(fd, bytes, len); /* to the closer */
    assert(len > 0 && len <= MESSAGE_MAX);
    for (size_t i = 0; i + 1 < len; i++)
        assert(text[i] >= 0x20 && text[i] != 0x7f);
    assert(text[len - 1] == '\n');
    memcpy(fuzz_said, bytes, len);
    fuzz_said_len = len;
    return (ssize_t)len;
}

int fuzz_open(const char *path, int flags, ...)
{
    if (fuzz_file_path != NULL && strcmp(path, fuzz_file_path) == 0 && (flags & O_ACCMODE) == O_RDONLY) {
        lseek(fuzz_file, 0, SEEK_SET);
        return dup(fuzz_file);
    }
    if (strncmp(path, "/proc/", 6) == 0 && (flags & (O_ACCMODE | O_CREAT)) == O_RDONLY)
        return (int)syscall(__NR_openat, AT_FDCWD, path, flags);
    errno = ENOENT;
    return -1;
}

/* What the program allocates and keeps to its exit. */
static void *fuzz_kept[FUZZ_KEPT_MAX];
static size_t fuzz_n_kept;

/* One pointer takes another's place; either may be NULL. */
static void *fuzz_keep(void *old, void *now)
{
    size_t at = fuzz_n_kept;

    while (old != NULL && at > 0 && fuzz_kept[at - 1] != old)
        at--;
    assert(old == NULL || at > 0);
    if (old != NULL)
        fuzz_kept[at - 1] = fuzz_kept[--fuzz_n_kept];
    assert(fuzz_n_kept < FUZZ_KEPT_MAX);
    if (now != NULL)
        fuzz_kept[fuzz_n_kept++] = now;
    return now;
}

/* It exits. */
static __attribute__((unused)) void fuzz_free_kept(void)
{
    while (fuzz_n_kept > 0)
        free(fuzz_kept[--fuzz_n_kept]);
}

void *fuzz_calloc(size_t n, size_t size)
{
    return fuzz_keep(NULL, calloc(n, size));
}

void fuzz_free(void *p)
{
    fuzz_keep(p, NULL);
    free(p);
}

void *fuzz_realloc(void *old, size_t size)
{
    void *now = malloc(size); /* always another place */

    if (now != NULL && old != NULL)
        memcpy(now, old, malloc_usable_size(old) < size ? malloc_usable_size(old) : size);
    fuzz_keep(old, now);
    free(old);
    return now;
}

void *fuzz_reallocarray(void *old, size_t n, size_t size)
{
    return fuzz_realloc(old, n * size);
}

char *fuzz_strdup(const char *text)
{
    return fuzz_keep(NULL, strdup(text));
}

char *fuzz_strndup(const char *text, size_t len)
{
    return fuzz_keep(NULL, strndup(text, len));
}

int fuzz_asprintf(char **to, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vasprintf(to, format, args);
    va_end(args);
    fuzz_keep(NULL, n < 0 ? NULL : *to);
    return n;
}

/* The file of that path has this content from now on. */
static void fuzz_set_file(const char *path, const void *bytes, size_t len)
{
    if (fuzz_file < 0)
        fuzz_file = memfd_create("input", MFD_CLOEXEC);
    fuzz_file_path = path;
    if (ftruncate(fuzz_file, 0) < 0 || pwrite(fuzz_file, bytes, len, 0) != (ssize_t)len)
        abort();
}

/* The input, byte by byte and piece by piece; zeros when it is used up. */
struct fuzz_input {
    const uint8_t *p;
    size_t left;
};

static uint8_t fuzz_byte(struct fuzz_input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->p++;
}

static __attribute__((unused)) uint64_t fuzz_number(struct fuzz_input *in, unsigned bytes)
{
    uint64_t n = 0;

    while (bytes-- > 0)
        n = n << 8 | fuzz_byte(in);
    return n;
}

static __attribute__((unused)) void fuzz_bytes(struct fuzz_input *in, void *to, size_t len)
{
    size_t n = len < in->left ? len : in->left;

    memcpy(to, in->p, n);
    memset((char *)to + n, 0, len - n);
    in->p += n;
    in->left -= n;
}

#endif
