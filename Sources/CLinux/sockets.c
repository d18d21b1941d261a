// What Linux adds to sockets.
#define _GNU_SOURCE
#include <sys/socket.h>

#include "CLinux.h"

_Static_assert(MUNTIN_DONTWAIT == MSG_DONTWAIT, "MSG_DONTWAIT");
_Static_assert(MUNTIN_CMSG_CLOEXEC == MSG_CMSG_CLOEXEC, "MSG_CMSG_CLOEXEC");

int muntin_accept(int fd) { return accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

int muntin_peer_credentials(int fd, int32_t *pid, uint32_t *uid, uint32_t *gid) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -1;
  *pid = credentials.pid;
  *uid = credentials.uid;
  *gid = credentials.gid;
  return 0;
}
