import GPUProtocol
import Geometry

/// How much memory a 3D resource takes, about: for the ledger, before it is made.
///
/// Formats are `enum virgl_formats`, targets `enum pipe_texture_target`. Drivers pad, align and unpack what they have no
/// hardware for, so that no sum is right; these are what a software driver takes, rounded up.
enum VirglFormats {
  /// PIPE_BUFFER, whose width is a number of bytes.
  private static let bufferTarget: UInt32 = 0

  /// Bytes of all levels, layers and samples; nil for more than `Int.max`.
  static func byteCount(of description: Command.Create3D) -> Int? {
    guard description.target != bufferTarget else { return Int(description.size.width) }
    var product = 1
    let factors = [
      description.size.width, description.size.height, description.depth, description.arraySize,
      description.sampleCount, bytesPerPixel(description.format),
    ]
    for factor in factors {
      let (next, overflow) = product.multipliedReportingOverflow(by: max(1, Int(factor)))
      guard !overflow else { return nil }
      product = next
    }
    guard description.lastLevel > 0 else { return product }
    // All levels together are at most a third more, a half with their padding.
    let (sum, overflow) = product.addingReportingOverflow(product / 2)
    return overflow ? nil : sum
  }

  /// Formats of one, two, four and eight bytes a pixel; the others have sixteen, and two of them more.
  private static let one: [ClosedRange<UInt32>] = [
    9...11, 23...23, 64...64, 69...69, 74...74, 82...82, 95...95, 105...116, 127...127, 130...130, 139...139,
    143...148, 150...150, 168...169, 177...177, 181...181, 201...203, 205...207, 255...258, 312...312, 318...318,
  ]
  private static let two: [ClosedRange<UInt32>] = [
    5...7, 12...13, 16...16, 48...48, 52...52, 56...56, 60...60, 65...65, 70...70, 75...75, 83...83, 91...91, 96...96,
    122...122, 135...135, 141...142, 149...149, 151...152, 154...154, 155...156, 158...158, 163...167, 170...171,
    178...178,
    182...182, 185...185, 189...189, 204...204, 208...208, 209...211, 213...215, 242...242, 247...248, 254...254,
    259...261, 266...266, 311...311, 313...313, 319...321,
  ]
  private static let four: [ClosedRange<UInt32>] = [
    1...4, 8...8, 14...15, 17...22, 28...28, 32...32, 36...36, 40...40, 44...44, 49...49, 53...53, 57...57,
    61...61, 66...68, 71...72, 76...77, 84...85, 87...87, 92...92, 97...104, 117...121, 123...125, 128...129, 131...134,
    136...137, 140...140, 153...153, 157...157, 159...160, 162...162, 172...176, 179...180, 183...184, 186...186,
    190...190, 193...193, 197...197, 212...212, 216...216, 217...219, 221...223, 225...233, 243...244, 249...250,
    253...253, 262...265, 267...306, 308...308, 314...317,
  ]
  private static let eight: [ClosedRange<UInt32>] = [
    24...24, 29...29, 33...33, 37...37, 41...41, 45...45, 50...51, 54...55, 58...59, 62...63, 88...88, 93...94,
    126...126,
    138...138, 161...161, 187...188, 191...192, 194...194, 198...198, 220...220, 224...224, 234...238, 245...246,
    251...252,
  ]

  private static func bytesPerPixel(_ format: UInt32) -> UInt32 {
    let classes = [(one, 1), (two, 2), (four, 4), (eight, 8)] as [([ClosedRange<UInt32>], UInt32)]
    for (ranges, count) in classes where ranges.contains(where: { $0.contains(format) }) { return count }
    return format == 26 || format == 27 ? 32 : 16
  }
}
