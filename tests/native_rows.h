/* native_rows.h - rows with a story of their own */
#ifndef NATIVE_ROWS_H
#define NATIVE_ROWS_H

#include "native_control.h"

static void x(void) { out(" x"); }
static const struct single_row {
    const char *group, *name;
    void (*run)(void);
    bool datagram;
} single_rows[] = {{"x","x",x,false}};

#endif
