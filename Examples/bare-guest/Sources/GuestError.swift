import GPUProtocol
import VirtioRing

/// Why there is no picture.
enum GuestError: Error {
  case noCard
  /// A device of before virtio 1.0.
  case legacyDevice
  case featuresRefused
  case noQueue
  case outOfMemory
  case badRing(VirtqueueError)
  case ringFull
  /// The device did what no device may.
  case ringViolated
  case badAnswer(ResponseError)
  case refused(ResponseCode)
  case noDisplay

  var text: StaticString {
    switch self {
    case .noCard: "no virtio-gpu device"
    case .legacyDevice: "the device does not offer VIRTIO_F_VERSION_1"
    case .featuresRefused: "the device refused the features"
    case .noQueue: "the device has no control queue"
    case .outOfMemory: "out of memory"
    case .badRing: "the ring is none"
    case .ringFull: "the ring is full"
    case .ringViolated: "the device broke the rules of the ring"
    case .badAnswer: "the answer is none"
    case .refused: "the device refused a command"
    case .noDisplay: "no display is enabled"
    }
  }
}
