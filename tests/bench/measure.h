/* measure.h - what the benchmark programs share: the clock (clock_gettime(2)), percentiles, fatal errors */
#ifndef MEASURE_H
#define MEASURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* End with one line when a step that the measurement rests on failed: a figure from it would be wrong. */
#define NEED(holds, what) ((holds) ? (void)0 : measure_die(what))

__attribute__((noreturn)) static void measure_die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double measure_now(void) /* nanoseconds */
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int measure_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts the values; afterwards measure_percentile may be asked. */
static void measure_sort(double *values, size_t n)
{
    qsort(values, n, sizeof *values, measure_compare);
}

/* Of sorted values, n > 0. 50 is the median. */
static double measure_percentile(const double *sorted, size_t n, unsigned percent)
{
    double at = (double)(n - 1) * percent / 100;
    size_t below = (size_t)at;

    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + (sorted[below + 1] - sorted[below]) * (at - (double)below);
}

#endif
