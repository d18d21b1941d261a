// libvncserver, loaded when it is first needed: with the cryptography behind it it takes 3 MB of memory, which the
// processes that serve no VNC (most of them) do without. And what of it Swift cannot import: variadic callbacks, macros,
// structs with very large arrays.
#ifndef MUNTIN_CVNC_H
#define MUNTIN_CVNC_H

#include <rfb/rfb.h>

/// The functions that are used, under the library's own names.
struct muntin_vnc_library {
  __typeof__(rfbGetScreen) *rfbGetScreen;
  __typeof__(rfbScreenCleanup) *rfbScreenCleanup;
  __typeof__(rfbNewClient) *rfbNewClient;
  __typeof__(rfbProcessClientMessage) *rfbProcessClientMessage;
  __typeof__(rfbUpdateClient) *rfbUpdateClient;
  __typeof__(rfbMarkRectAsModified) *rfbMarkRectAsModified;
  __typeof__(rfbCloseClient) *rfbCloseClient;
  __typeof__(rfbClientConnectionGone) *rfbClientConnectionGone;
  __typeof__(rfbCheckPasswordByList) *rfbCheckPasswordByList;
};

/// The library; NULL where it is not installed or lacks a function. Call it from one thread first.
const struct muntin_vnc_library *muntin_vnc_load(void);

/// Receives what the library would print: `is_error`, and one line of text.
typedef void (*muntin_vnc_sink)(int is_error, const char *line);
/// Routes rfbLog and rfbErr of the whole process; after muntin_vnc_load.
void muntin_vnc_set_sink(muntin_vnc_sink sink);

/// The descriptor of a client's socket, negative once the library has closed it.
int muntin_vnc_socket(rfbClientPtr client);
/// Whether the client has got through the handshake.
int muntin_vnc_is_ready(rfbClientPtr client);
/// Whether an update would be sent to the client now.
int muntin_vnc_has_update(rfbClientPtr client);

#endif
