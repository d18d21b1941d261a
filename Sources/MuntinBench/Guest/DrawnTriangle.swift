/// Commands of a VIRGL context (virgl_protocol.h) that fill a texture by a shader which takes its time, as words for
/// Tests/Guests/programs/card3d.c.
struct DrawnTriangle {
  /// Columns and rows of the texture.
  static let extent = 512
  /// Bytes of the buffer of vertices.
  static let vertexByteCount = 4096

  /// So many turns for each pixel, of a number that stays between 0 and 1.
  private static let turns = 60
  private static let vertexShader = "VERT\nDCL IN[0]\nDCL OUT[0], POSITION\n  0: MOV OUT[0], IN[0]\n  1: END\n"
  private static let fragmentShader = """
    FRAG
    DCL OUT[0], COLOR
    DCL TEMP[0..1]
    IMM[0] FLT32 {0.7, 1.0, 3.9, \(turns).0}
      0: MOV TEMP[0], IMM[0].xxxx
      1: MOV TEMP[1], IMM[0].yyyy
      2: BGNLOOP :11
      3: ADD TEMP[0].y, IMM[0].yyyy, -TEMP[0].xxxx
      4: MUL TEMP[0].x, TEMP[0].xxxx, TEMP[0].yyyy
      5: MUL TEMP[0].x, TEMP[0].xxxx, IMM[0].zzzz
      6: ADD TEMP[1].x, TEMP[1].xxxx, IMM[0].yyyy
      7: SLT TEMP[1].y, IMM[0].wwww, TEMP[1].xxxx
      8: IF TEMP[1].yyyy :10
      9: BRK
     10: ENDIF
     11: ENDLOOP :2
     12: MOV OUT[0], TEMP[0].xxxx
     13: END

    """

  /// Everything before the drawing: the texture as frame buffer, the state, the vertices, the shaders.
  let setup: [UInt32]
  /// The drawing.
  let draw: [UInt32] = Self.command(8, [0, 3, 4, 0, 1, 0, 0, 0, 0, 0, .max, 0])

  /// Into this texture, with vertices in this buffer.
  init(texture: UInt32, vertices: UInt32) {
    let corners: [Float] = [-1, -1, 0, 1, 3, -1, 0, 1, -1, 3, 0, 1]
    let half = Float(Self.extent) / 2
    let one = Float(1).bitPattern
    let (blend, rasterizer, depth, elements, surface) = (UInt32(1), UInt32(2), UInt32(3), UInt32(5), UInt32(8))
    var words = Self.object(surface, [1, texture, 1, 0, 0]) + Self.command(5, [1, 0, 1])
    // Without alpha: what is drawn over in all channels is not drawn at all.
    words += Self.object(blend, [2, 0, 0, 0x7 << 27, 0, 0, 0, 0, 0, 0, 0]) + Self.command(2, kind: blend, [2])
    words += Self.object(depth, [3, 0, 0, 0, 0]) + Self.command(2, kind: depth, [3])
    words += Self.object(rasterizer, [4, 2, one, 0, 0, one, 0, 0, 0]) + Self.command(2, kind: rasterizer, [4])
    // Four floats each.
    words += Self.object(elements, [5, 0, 0, 0, 31]) + Self.command(2, kind: elements, [5])
    words += Self.command(
      9, [vertices, 0, 0, 0, 0, 0, 0, 0, UInt32(4 * corners.count), 1, 1] + corners.map(\.bitPattern))
    words += Self.command(6, [16, 0, vertices])
    words += Self.shader(6, 0, Self.vertexShader) + Self.shader(7, 1, Self.fragmentShader)
    words += Self.command(4, [0] + [half, half, 0.5, half, half, 0.5].map(\.bitPattern))
    setup = words
  }

  private static func command(_ number: UInt32, kind: UInt32 = 0, _ words: [UInt32]) -> [UInt32] {
    [number | kind << 8 | UInt32(words.count) << 16] + words
  }

  private static func object(_ kind: UInt32, _ words: [UInt32]) -> [UInt32] { command(1, kind: kind, words) }

  /// A shader, made and bound.
  private static func shader(_ handle: UInt32, _ stage: UInt32, _ text: String) -> [UInt32] {
    var bytes = Array(text.utf8)
    let length = UInt32(bytes.count + 1)
    bytes += [UInt8](repeating: 0, count: 4 - bytes.count % 4)
    let words = stride(from: 0, to: bytes.count, by: 4).map { start in
      (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
    }
    return object(4, [handle, stage, length, 300, 0] + words) + command(31, [handle, stage])
  }
}
