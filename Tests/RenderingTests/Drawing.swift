import GPUDevice
import Geometry

/// Commands of VIRGL contexts: `enum virgl_context_cmd`, as much of them as makes a picture of one colour.
enum Drawing {
  private static func command(_ number: UInt32, object: UInt32 = 0, _ words: [UInt32]) -> [UInt32] {
    [number | object << 8 | UInt32(words.count) << 16] + words
  }

  /// Makes a resource the target of what is drawn, as surface 1.
  static func target(_ resource: UInt32, format: UInt32 = 1) -> [UInt32] {
    command(1, object: 8, [1, resource, format, 0, 0]) + command(5, [1, 0, 1])
  }

  /// Fills the target.
  static func clear(red: Float, green: Float, blue: Float, alpha: Float = 1) -> [UInt32] {
    command(7, [4] + [red, green, blue, alpha].map(\.bitPattern) + [0, 0, 0])
  }

  /// Makes a picture that RESOURCE_CREATE_BLOB finds under a number.
  static func blob(_ number: UInt32, _ width: UInt32, _ height: UInt32) -> [UInt32] {
    command(48, [2, 1, 1 << 1 | 1 << 3, width, height, 1, 1, 0, 0, 0, number])
  }

  static func bytes(_ words: [UInt32]) -> [UInt8] {
    words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
  }
}

extension Command {
  /// RESOURCE_CREATE_3D of what can be drawn into and shown.
  static func createTarget(_ id: UInt32, _ width: UInt32, _ height: UInt32, format: UInt32 = 1) -> Command {
    var description = Create3D(resource: ResourceID(rawValue: id))
    description.size = Size(width: width, height: height)
    description.format = format
    // VIRGL_BIND_RENDER_TARGET, SAMPLER_VIEW and SCANOUT.
    description.bind = 1 << 1 | 1 << 3 | 1 << 18
    return .resourceCreate3D(description)
  }
}
