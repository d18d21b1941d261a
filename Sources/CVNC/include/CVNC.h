// libvncserver, and what of it Swift cannot import: variadic callbacks and structs with very large arrays.
// No logic lives here.
#ifndef MUNTIN_CVNC_H
#define MUNTIN_CVNC_H

#include <rfb/rfb.h>
#include <rfb/rfbregion.h>

/// Receives what the library would print: `is_error`, and one line of text.
typedef void (*muntin_vnc_sink)(int is_error, const char *line);
/// Routes rfbLog and rfbErr of the whole process.
void muntin_vnc_set_sink(muntin_vnc_sink sink);

/// The descriptor of a client's socket, negative once the library has closed it.
int muntin_vnc_socket(rfbClientPtr client);
/// Whether the client has got through the handshake.
int muntin_vnc_is_ready(rfbClientPtr client);
/// Whether an update would be sent to the client now.
int muntin_vnc_has_update(rfbClientPtr client);

#endif
