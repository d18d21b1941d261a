/// The pixel formats of 2D resources, `enum virtio_gpu_formats` (virtio 1.3, 5.7.6.7).
///
/// A name lists the bytes in the order of their addresses; a DRM fourcc lists a little-endian word from its top, so
/// B8G8R8A8 is ARGB8888.
public enum ResourceFormat: UInt32, CaseIterable, Sendable {
  case b8g8r8a8 = 1
  case b8g8r8x8 = 2
  case a8r8g8b8 = 3
  case x8r8g8b8 = 4
  case r8g8b8a8 = 67
  case x8b8g8r8 = 68
  case a8b8g8r8 = 121
  case r8g8b8x8 = 134
}
