#include "CVNC.h"

#include <dlfcn.h>
#include <rfb/rfbregion.h>
#include <stdarg.h>
#include <stdio.h>

static struct muntin_vnc_library library;
static __typeof__(sraRgnEmpty) *region_is_empty;
static rfbLogProc *log_variable, *error_variable;

const struct muntin_vnc_library *muntin_vnc_load(void) {
  static void *handle;
  if (!handle) handle = dlopen("libvncserver.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!handle) return NULL;
#define LOAD(name) \
  if (!(library.name = (__typeof__(library.name))dlsym(handle, #name))) return NULL
  LOAD(rfbGetScreen);
  LOAD(rfbScreenCleanup);
  LOAD(rfbNewClient);
  LOAD(rfbProcessClientMessage);
  LOAD(rfbUpdateClient);
  LOAD(rfbMarkRectAsModified);
  LOAD(rfbCloseClient);
  LOAD(rfbClientConnectionGone);
  LOAD(rfbCheckPasswordByList);
#undef LOAD
  region_is_empty = (__typeof__(region_is_empty))dlsym(handle, "sraRgnEmpty");
  log_variable = (rfbLogProc *)dlsym(handle, "rfbLog");
  error_variable = (rfbLogProc *)dlsym(handle, "rfbErr");
  return region_is_empty && log_variable && error_variable ? &library : NULL;
}

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
  if (log_variable) *log_variable = note;
  if (error_variable) *error_variable = complain;
}

int muntin_vnc_socket(rfbClientPtr client) { return client->sock; }

int muntin_vnc_is_ready(rfbClientPtr client) { return client->state == RFB_NORMAL; }

int muntin_vnc_has_update(rfbClientPtr client) {
// The macro names the function.
#define sraRgnEmpty region_is_empty
  return client->sock != RFB_INVALID_SOCKET && !client->onHold && FB_UPDATE_PENDING(client) &&
         !sraRgnEmpty(client->requestedRegion);
#undef sraRgnEmpty
}
