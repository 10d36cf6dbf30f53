/* late_sample.h - what late_sample.c has. */
#ifndef VT_TESTS_LATE_SAMPLE_H
#define VT_TESTS_LATE_SAMPLE_H

struct late_sample_large {
    long v[5];
};

int late_sample_digits(int a, int b, int c, int d, int e, int f, int g, int h);
double late_sample_sum(double a, float b, double c, float d, double e, double f, double g, double h,
                       double i);
double late_sample_variable(int n, ...);
struct late_sample_large late_sample_large(long first, long step);

#endif
