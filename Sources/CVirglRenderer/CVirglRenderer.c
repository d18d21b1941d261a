#define _GNU_SOURCE
#include "CVirglRenderer.h"

#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct muntin_virgl_library library;
static void *handle;
static const char *problem = "";

static int find(void *slot, const char *name) {
  *(void **)slot = dlsym(handle, name);
  if (!*(void **)slot) problem = name;
  return *(void **)slot != NULL;
}

const struct muntin_virgl_library *muntin_virgl_load(void) {
  if (!handle) handle = dlopen("libvirglrenderer.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    problem = "libvirglrenderer.so.1";
    return NULL;
  }
#define LOAD(name) \
  if (!find(&library.name, "virgl_renderer_" #name)) return NULL
  LOAD(init);
  LOAD(poll);
  LOAD(get_poll_fd);
  LOAD(get_cap_set);
  LOAD(fill_caps);
  LOAD(context_create_with_flags);
  LOAD(context_destroy);
  LOAD(ctx_attach_resource);
  LOAD(ctx_detach_resource);
  LOAD(submit_cmd);
  LOAD(create_fence);
  LOAD(context_create_fence);
  LOAD(context_get_poll_fd);
  LOAD(context_poll);
  LOAD(resource_create);
  LOAD(resource_unref);
  LOAD(resource_attach_iov);
  LOAD(resource_detach_iov);
  LOAD(resource_get_info);
  LOAD(resource_create_blob);
  LOAD(resource_export_blob);
  LOAD(resource_get_map_info);
  LOAD(execute);
  LOAD(transfer_read_iov);
  LOAD(transfer_write_iov);
#undef LOAD
  problem = "";
  return &library;
}

const char *muntin_virgl_problem(void) { return problem; }

const char *muntin_virgl_path(void) {
  static char path[4096];
  struct link_map *map = NULL;
  if (path[0] || !handle || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0) return path;
  if (!realpath(map->l_name, path)) path[0] = 0;
  return path;
}

static muntin_virgl_sink current_sink;

static void forward(const char *format, va_list arguments) {
  char text[512];
  vsnprintf(text, sizeof text, format, arguments);
  if (current_sink) current_sink(text);
}

void muntin_virgl_set_sink(muntin_virgl_sink sink) {
  // 1.1 and later may leave it out.
  __typeof__(virgl_set_debug_callback) *set = handle ? (__typeof__(set))dlsym(handle, "virgl_set_debug_callback") : NULL;
  current_sink = sink;
  if (set) set(forward);
}

// EGL, which the library has loaded. Nothing but these few functions is wanted of it.
typedef void *(*get_current_display)(void);
typedef const char *(*query_string)(void *display, int name);
typedef void *(*get_address)(const char *name);
typedef const unsigned char *(*get_string)(unsigned name);
enum { EGL_EXTENSIONS = 0x3055, GL_RENDERER = 0x1F01 };

static void *egl(const char *name) {
  static void *egl_handle;
  if (!egl_handle) egl_handle = dlopen("libEGL.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  return egl_handle ? dlsym(egl_handle, name) : NULL;
}

const char *muntin_egl_renderer(void) {
  get_address address = (get_address)egl("eglGetProcAddress");
  get_string string = address ? (get_string)address("glGetString") : NULL;
  const char *name = string ? (const char *)string(GL_RENDERER) : NULL;
  return name ? name : "";
}

const char *muntin_egl_extensions(void) {
  get_current_display display = (get_current_display)egl("eglGetCurrentDisplay");
  query_string query = (query_string)egl("eglQueryString");
  const char *names = display && query && display() ? query(display(), EGL_EXTENSIONS) : NULL;
  return names ? names : "";
}
