#ifndef CDRM_REQUEST_H
#define CDRM_REQUEST_H

#include <errno.h>
#include <sys/ioctl.h>

#define CORE(number, type) _IOWR('d', number, struct type)

static inline int request(int card, unsigned long code, void *argument) {
    int result;
    do result = ioctl(card, code, argument);
    while (result < 0 && (errno == EINTR || errno == EAGAIN));
    return result < 0 ? -errno : 0;
}

#endif
