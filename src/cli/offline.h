/* offline.h - no command talks to the network; here each gives up the right to.
 *
 * cli_main calls cli_go_offline before a command runs, so that nothing a file or a driver does afterwards can
 * open a connection. Commands whose table entry says `listens` are left alone and call it themselves once their
 * socket listens. */
#ifndef VT_CLI_OFFLINE_H
#define VT_CLI_OFFLINE_H

#include <stdbool.h>

/* rpc: a compute server was named, so sockets stay; the log says so. False when the system cannot do it: a
 * warning was printed, and the command may go on. */
bool cli_go_offline(bool rpc);

#endif
