#include "CKMS.h"

#include <libdrm/drm.h>
#include <libdrm/drm_mode.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODES = 64, OBJECTS = 16 };

static int request(int card, unsigned long code, void *argument) {
  int result;
  do result = ioctl(card, code, argument);
  while (result < 0 && (errno == EINTR || errno == EAGAIN));
  return result;
}

static int is_driver(int card, const char *wanted) {
  char name[32] = {0};
  struct drm_version version = {.name = name, .name_len = sizeof name - 1};
  return request(card, DRM_IOCTL_VERSION, &version) == 0 && strcmp(name, wanted) == 0;
}

int muntin_kms_open(const char *driver) {
  for (int number = 0; number < OBJECTS; number++) {
    char path[32];
    snprintf(path, sizeof path, "/dev/dri/card%d", number);
    int card = open(path, O_RDWR | O_CLOEXEC);
    if (card < 0) continue;
    if (is_driver(card, driver)) return card;
    close(card);
  }
  errno = ENODEV;
  return -1;
}

static int import(int card, int descriptor, uint32_t *handle) {
  struct drm_prime_handle prime = {.fd = descriptor};
  if (request(card, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime) < 0) return -1;
  *handle = prime.handle;
  return 0;
}

int muntin_kms_import(int card, const struct muntin_kms_picture *picture) {
  struct drm_prime_handle back = {.flags = O_RDWR | O_CLOEXEC};
  struct stat given, returned;
  if (import(card, picture->descriptor, &back.handle) < 0) return -1;
  if (request(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &back) < 0) return -1;
  int is_known = fstat(picture->descriptor, &given) == 0 && fstat(back.fd, &returned) == 0;
  close(back.fd);
  if (is_known && given.st_dev == returned.st_dev && given.st_ino == returned.st_ino) return 0;
  errno = EXDEV;
  return -1;
}

static int add_framebuffer(int card, const struct muntin_kms_picture *picture, uint32_t *framebuffer) {
  struct drm_mode_fb_cmd2 command = {
      .width = picture->width,
      .height = picture->height,
      .pixel_format = picture->format,
      .pitches = {picture->stride},
      .offsets = {picture->offset},
  };
  if (import(card, picture->descriptor, &command.handles[0]) < 0) return -1;
  if (request(card, DRM_IOCTL_MODE_ADDFB2, &command) < 0) return -1;
  *framebuffer = command.fb_id;
  return 0;
}

static int find_mode(int card, uint32_t connector, const struct muntin_kms_picture *picture,
                     struct drm_mode_modeinfo *mode) {
  struct drm_mode_modeinfo modes[MODES];
  // Asking for no mode makes the driver look for them.
  struct drm_mode_get_connector answer = {.connector_id = connector};
  if (request(card, DRM_IOCTL_MODE_GETCONNECTOR, &answer) < 0) return -1;
  answer = (struct drm_mode_get_connector){
      .connector_id = connector, .modes_ptr = (uintptr_t)modes, .count_modes = MODES};
  if (request(card, DRM_IOCTL_MODE_GETCONNECTOR, &answer) < 0) return -1;
  for (uint32_t index = 0; index < answer.count_modes && answer.count_modes <= MODES; index++) {
    if (modes[index].hdisplay != picture->width || modes[index].vdisplay != picture->height) continue;
    *mode = modes[index];
    return 0;
  }
  errno = ENOENT;
  return -1;
}

int64_t muntin_kms_show(int card, const struct muntin_kms_picture *picture) {
  uint32_t connectors[OBJECTS], crtcs[OBJECTS];
  struct drm_mode_card_res found = {.connector_id_ptr = (uintptr_t)connectors,
                                    .count_connectors = OBJECTS,
                                    .crtc_id_ptr = (uintptr_t)crtcs,
                                    .count_crtcs = OBJECTS};
  if (request(card, DRM_IOCTL_MODE_GETRESOURCES, &found) < 0) return -1;
  if (found.count_connectors == 0 || found.count_crtcs == 0) {
    errno = ENODEV;
    return -1;
  }
  struct drm_mode_crtc shown = {
      .crtc_id = crtcs[0], .set_connectors_ptr = (uintptr_t)connectors, .count_connectors = 1, .mode_valid = 1};
  if (find_mode(card, connectors[0], picture, &shown.mode) < 0) return -1;
  if (add_framebuffer(card, picture, &shown.fb_id) < 0) return -1;
  return request(card, DRM_IOCTL_MODE_SETCRTC, &shown) < 0 ? -1 : (int64_t)shown.fb_id;
}

int muntin_kms_flush(int card, uint32_t framebuffer) {
  struct drm_mode_fb_dirty_cmd command = {.fb_id = framebuffer};
  return request(card, DRM_IOCTL_MODE_DIRTYFB, &command);
}
