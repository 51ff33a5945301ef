/* limits.h - what serving may take of memory, descriptors and time at most, whatever those who are served do */
#ifndef LIMITS_H
#define LIMITS_H

/* What is not here has its limit by what it is: a path, an address, a field of a message. */
enum {
    /* One call. Payloads aren't kept while a call waits: they are read again, so there is one batch for all calls. */
    MESSAGES_AT_ONCE = 64,            /* of a sendmmsg */
    MESSAGE_VECTOR_MAX = 1024,        /* UIO_MAXIOV, for iovec and sendmmsg's vector alike */
    MESSAGE_RIGHTS_MAX = 253,         /* SCM_MAX_FD: descriptors that are passed on */
    MESSAGE_CONTROL_MAX = 20480,      /* bytes; net.core.optmem_max as it was until 6.9: more is ENOBUFS */
    MESSAGE_LENGTH_MAX = 0x7ffff000,  /* MAX_RW_COUNT: what one call can send */
    MESSAGE_EAGER_MAX = 65535,        /* bytes of a payload that is read together with its address */
    MESSAGE_PAYLOAD_MAX = 512 * 1024, /* bytes of a unix datagram; the default buffers take less */
    MESSAGE_PIECE_MAX = 256 * 1024,   /* bytes of a stream's payload, held at one time */
    JOINS_BYTES_MAX = 20480,          /* of a socket's groups and filters; net.core.optmem_max until 6.9 */
    NETLINK_REQUEST_MAX = 4096,       /* bytes of what a process with threads sends by netlink */
    ASKS_MAX = 16,                    /* questions about one call, which may lead elsewhere each time */
    ROUNDS_MAX = 4,                   /* batches of one send, before others have their turn */
    CREDS_GROUPS_MAX = 512,           /* of a caller whose rights are taken; a power of two */
    ANCESTORS_MAX = 64,               /* of a process that another acts on */

    /* One turn of the loop. */
    EVENTS_AT_ONCE = 16,
    CHILDREN_AT_ONCE = 64,            /* exits and stops: each takes 20 us */
    TICK_MS = 20,                     /* between looks at waiting calls */
    TICK_ENTRIES = 64,                /* waiting calls that one tick looks at */
    TICK_BUDGET_MS = 2,               /* of one tick, before calls have their turn */
    SWEEP_MS = 1000,                  /* between looks at sockets that we hold and perhaps nobody else does */
    PATIENCE_MAX = 1000,              /* milliseconds between tries of a call whose socket tells nothing */
    LATER_MAX = 100,                  /* the same of a call that waits for us alone */
    LIST_AT_ONCE = 65536,             /* bytes of an answer to who controls us */

    /* All calls together: each holds a descriptor. */
    DESCRIPTORS_MAX = 20000,          /* our own limit, where the hard one is no lower */
    HOLDER_DESCRIPTORS = 4,           /* of the hard limit, for those who look where the sockets are open */
    PENDING_MAX = 16384,              /* calls that wait; more are ENOBUFS */
    DIALS_MAX = 4096,                 /* connections for the proxy that are being made */
    PROXY_CONNS_MAX = 8192,           /* that the proxy has, in its own process */
    PIN_SLOTS = 64,                   /* pidfds that are kept */
    PINTABLE_MAX = 4096,              /* sockets that we made and handed in, and hold */
    PINTABLE_BEGUN_MAX = 256,         /* of those that we held */
    REMAP_KEPT_MAX = 64,              /* sockets that something is on its way to */
    CLOSER_WAITING_MAX = 64,          /* sockets whose close may wait */
    CLOSER_PATIENCE_MS = 50,          /* for one of them, a quarter of our time */
    CLOSER_GROUPS_MAX = 1000,         /* multicast groups that are joined before a close may take long */
    PINTABLE_PATIENCE_US = 2000,      /* for closing those that nobody has open */
    FINDER_PATIENCE_MS = 5,           /* for who looks for a socket, before others have their turn */
    CLIENTS_MAX = 32,                 /* connections of those who control us */

    /* What is remembered: where there is no room the oldest is forgotten, or the rest left out. */
    LOST_REPLIES_MAX = 64,
    ORIGINS_MAX = 32768,              /* where sockets that the proxy has were meant to go */
    REMAP_MAX = 1024,                 /* ports with another number */
    STAND_INS_MAX = 64,
    TALLY_MAX = 1024,                 /* kinds of denials that are counted */
    LOG_KEPT = 64,                    /* lines, for who asks for them */
    LINEAGE_LINKS = 4096,             /* processes and their parents */
    ASKER_OPEN_MAX = 2048,            /* questions that were not answered yet */
    REMEMBERED_MAX = 4096,            /* answers for the rest of the run */
    SEEN_NAMES_MAX = 1024,            /* that the command looks up */
    SEEN_ADDRS_MAX = 8192,
    LEARNED_MAX = 16384,              /* what the command did */
    LEARNED_COMMANDS = 256,
    LEARNED_PROCESSES = 256,
};

#endif
