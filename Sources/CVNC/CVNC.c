#include "CVNC.h"

#include <stdarg.h>
#include <stdio.h>

static muntin_vnc_sink current_sink;

static void forward(int is_error, const char *format, va_list arguments) {
  char line[512];
  vsnprintf(line, sizeof line, format, arguments);
  if (current_sink) current_sink(is_error, line);
}

static void note(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  forward(0, format, arguments);
  va_end(arguments);
}

static void complain(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  forward(1, format, arguments);
  va_end(arguments);
}

void muntin_vnc_set_sink(muntin_vnc_sink sink) {
  current_sink = sink;
  rfbLog = note;
  rfbErr = complain;
}

int muntin_vnc_socket(rfbClientPtr client) { return client->sock; }

int muntin_vnc_is_ready(rfbClientPtr client) { return client->state == RFB_NORMAL; }

int muntin_vnc_has_update(rfbClientPtr client) {
  return client->sock != RFB_INVALID_SOCKET && !client->onHold && FB_UPDATE_PENDING(client) &&
         !sraRgnEmpty(client->requestedRegion);
}
