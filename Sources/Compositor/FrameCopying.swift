import Buffers
import Glibc
import HubProtocol
import Synchronization

extension FrameReader {
  /// Copies rectangles of the frame to the same places of `target`, whose rows are `stride` bytes apart; one that is not
  /// inside of the frame is left out. False: the frame was drawn to meanwhile, and what was copied may be torn.
  func copy(_ rectangles: [Rectangle], into target: UnsafeMutableRawPointer, stride: Int) -> Bool {
    let before = generation
    guard before % 2 == 0, let base = buffer.bytes.baseAddress else { return false }
    let layout = buffer.layout
    for rectangle in rectangles where rectangle.fits(in: layout.size) && !rectangle.isEmpty {
      for y in rectangle.y..<rectangle.y + rectangle.height {
        memcpy(
          target + (Int(y) * stride + Int(rectangle.x) * 4), base + layout.byteOffset(x: rectangle.x, y: y),
          Int(rectangle.width) * 4)
      }
    }
    atomicMemoryFence(ordering: .acquiring)
    return generation == before
  }
}
