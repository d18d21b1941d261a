import Buffers

/// A scanout's cursor as the guest set it.
public struct CursorState {
  /// Where.
  public let scanout: ScanoutID
  /// The place of the picture's upper left pixel on the scanout, as Linux means it; may be outside.
  public let x: Int32, y: Int32
  /// The pixel of the picture that points.
  public let hotX: UInt32, hotY: UInt32
  /// The picture; nil while there is no cursor.
  public let image: CursorImage?

  /// Whether there is a cursor.
  public var isVisible: Bool { image != nil }
}

/// A cursor's picture: a copy made at UPDATE_CURSOR, 64 x 64 pixels ARGB8888 whatever the resource's format was.
///
/// The device uses the object again for the scanout's next picture: copy what has to last.
public final class CursorImage {
  /// Columns and rows.
  public static let extent: UInt32 = 64
  private static let pixelCount = Int(extent * extent)
  /// Bytes of the picture.
  static let byteCount = pixelCount * 4

  private let pixels: UnsafeMutableBufferPointer<UInt32>

  init() {
    pixels = .allocate(capacity: Self.pixelCount)
    pixels.initialize(repeating: 0)
  }

  deinit {
    pixels.deallocate()
  }

  /// Row after row of little-endian words.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(pixels) }

  /// Takes a picture; whether it differs from the one before.
  func load(_ source: CursorPixels) -> Bool {
    let isARGB = source.format == .b8g8r8a8 || source.format == .b8g8r8x8
    var changed = false
    for index in pixels.indices {
      let word = source.word(index % Int(Self.extent), index / Int(Self.extent))
      let pixel = isARGB ? word : source.format.argb(word)
      changed = changed || pixels[index] != pixel.littleEndian
      pixels[index] = pixel.littleEndian
    }
    return changed
  }
}

/// A cursor's picture as the guest has it: 64 rows; all zero where there are no bytes.
struct CursorPixels {
  var bytes: UnsafeRawBufferPointer?
  var format: ResourceFormat
  /// Bytes from one row to the next.
  var stride = 4 * Int(CursorImage.extent)

  func word(_ x: Int, _ y: Int) -> UInt32 {
    UInt32(littleEndian: bytes?.loadUnaligned(fromByteOffset: y * stride + 4 * x, as: UInt32.self) ?? 0)
  }
}

/// One scanout's cursor.
struct CursorPlane {
  let scanout: ScanoutID
  private var x: Int32 = 0
  private var y: Int32 = 0
  private var hotX: UInt32 = 0
  private var hotY: UInt32 = 0
  private var image: CursorImage?
  private(set) var isVisible = false

  init(scanout: ScanoutID) {
    self.scanout = scanout
  }

  var state: CursorState {
    CursorState(scanout: scanout, x: x, y: y, hotX: hotX, hotY: hotY, image: isVisible ? image : nil)
  }

  /// MOVE_CURSOR, of which only the place counts.
  mutating func move(_ update: Command.CursorUpdate) {
    x = Int32(bitPattern: update.x)
    y = Int32(bitPattern: update.y)
  }

  /// UPDATE_CURSOR with the resource it names, nil for none; whether more than the place is another.
  mutating func update(_ update: Command.CursorUpdate, _ pixels: CursorPixels?) -> Bool {
    move(update)
    guard let pixels else {
      defer { isVisible = false }
      return isVisible
    }
    let image = self.image ?? CursorImage()
    self.image = image
    let isNew = image.load(pixels) || !isVisible || hotX != update.hotX || hotY != update.hotY
    (hotX, hotY, isVisible) = (update.hotX, update.hotY, true)
    return isNew
  }

  mutating func hide() {
    isVisible = false
  }
}
