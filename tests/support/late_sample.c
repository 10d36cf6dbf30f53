/* late_sample.c - a library for late_test.c: functions whose arguments and results go every way that the processor's
 * convention knows. */
#include <stdarg.h>
#include <stddef.h>

#include "late_sample.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int late_sample_digits(int a, int b, int c, int d, int e, int f, int g, int h)
{
    return ((((((a * 10 + b) * 10 + c) * 10 + d) * 10 + e) * 10 + f) * 10 + g) * 10 + h;
}

EXPORT double late_sample_sum(double a, float b, double c, float d, double e, double f, double g,
                              double h, double i)
{
    return a + (double)b * 10 + c * 100 + (double)d * 1000 + e * 1e4 + f * 1e5 + g * 1e6 + h * 1e7 +
           i * 1e8;
}

EXPORT double late_sample_variable(int n, ...)
{
    va_list ap;
    double sum = 0;
    va_start(ap, n);
    for (int i = 0; i < n; i++)
        sum = sum * 10 + (i % 2 ? va_arg(ap, double) : va_arg(ap, int));
    va_end(ap);
    return sum;
}

EXPORT struct late_sample_large late_sample_large(long first, long step)
{
    struct late_sample_large l = {{0}};
    for (size_t i = 0; i < sizeof l.v / sizeof l.v[0]; i++)
        l.v[i] = first + step * (long)i;
    return l;
}
