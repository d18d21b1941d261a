/*
 * For programs that set the largest mode that a screen tells of (glmark2 does), which a virtual card need not take: they
 * see the preferred one alone.
 *
 * usage: LD_PRELOAD=one_mode.so PROGRAM
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#include <xf86drmMode.h>

drmModeConnectorPtr drmModeGetConnector(int card, uint32_t id) {
  drmModeConnectorPtr (*get)(int, uint32_t) = (drmModeConnectorPtr(*)(int, uint32_t))dlsym(RTLD_NEXT, "drmModeGetConnector");
  drmModeConnectorPtr connector = get ? get(card, id) : NULL;
  if (!connector || connector->count_modes < 1) return connector;
  int best = 0;
  for (int i = connector->count_modes; i-- > 0;)
    if (connector->modes[i].type & DRM_MODE_TYPE_PREFERRED) best = i;
  connector->modes[0] = connector->modes[best];
  connector->count_modes = 1;
  return connector;
}
