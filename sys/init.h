/* init.h - the first process of a machine or a container, and the machine's end (reboot(2), pid_namespaces(7)) */
#ifndef INIT_H
#define INIT_H

#include "base.h"

#include <sys/reboot.h>

/* Are we the first process of a machine, not of a pid namespace? There this command, which changes nothing, is invalid;
 * without CAP_SYS_BOOT it is refused, and so would be the machine's end. */
static bool init_of_machine(void)
{
    return getpid() == 1 && reboot((int)RB_ENABLE_CAD) == 0;
}

/* Switch the machine off: the kernel panics when its first process ends. For atexit(3). */
static void init_power_off(void)
{
    sync();
    reboot(RB_POWER_OFF);
}

#endif
