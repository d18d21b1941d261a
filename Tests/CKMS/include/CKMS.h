// What a graphics driver of the kernel makes of a dma-buf, by its ioctls alone. A negative result: errno says why.
#ifndef MUNTIN_CKMS_H
#define MUNTIN_CKMS_H

#include <stdint.h>

struct muntin_kms_picture {
  /// The dma-buf.
  int descriptor;
  uint32_t width, height, stride, offset;
  /// DRM fourcc.
  uint32_t format;
};

/// Opens the first card whose driver has that name ("vgem", "cirrus").
int muntin_kms_open(const char *driver);
/// Imports the dma-buf and exports it again: EXDEV unless the same dma-buf comes back. The card holds it until closed.
int muntin_kms_import(int card, const struct muntin_kms_picture *picture);
/// Shows the dma-buf on the card's first connector, in the mode of its size, until the card is closed: the
/// framebuffer's number.
int64_t muntin_kms_show(int card, const struct muntin_kms_picture *picture);
/// Tells the card that the framebuffer's pixels have changed.
int muntin_kms_flush(int card, uint32_t framebuffer);

#endif
