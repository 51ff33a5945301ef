/* inside.h - which processes are the command's */
#ifndef POLICY_INSIDE_H
#define POLICY_INSIDE_H

#include "ask.h"
#include "call.h"
#include "../sys/base.h"
#include "../sys/finder.h"
#include "../sys/process.h"

#include <unistd.h>

/* Is this process one of the command's? Others of our descendants are our own: helpers, and what they start. One that
 * is more generations down counts as a stranger: each takes a look at /proc. */
static bool is_inside(pid_t pid, int generations)
{
    const pid_t own[] = {here.closer.pid, finder.pid, here.proxy.pid, here.lookups.pid, ask_helper.pid};
    uint64_t started;

    for (int depth = 0; pid > 1 && depth < generations; depth++) {
        for (size_t i = 0; i < ARRAY_LEN(own); i++)
            if (pid == own[i])
                return false;
        pid = process_parent(pid, &started);
        if (pid == getpid())
            return true;
    }
    return false;
}

#endif
