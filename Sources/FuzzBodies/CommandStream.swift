/// Commands of a VIRGL context as virglrenderer's decoder takes them (virgl_protocol.h): words, whose first of each
/// command says what it is and how many follow.
struct CommandStream {
  private(set) var bytes: [UInt8] = []

  /// How many words a command has when it is right, by its number; an array's elements count once.
  private static let lengths: [Int] = [
    0, 0, 1, 1, 7, 3, 3, 8, 12, 13, 3, 3, 6, 1, 4, 3, 21, 13, 3, 1, 1, 2, 32, 32, 1, 2, 3, 5, 1, 1, 1, 2, 6, 1, 5, 7, 1,
    8, 2, 1, 4, 1, 6, 13, 0, 14, 2, 12, 11, 13, 1, 2, 6, 13, 5, 1, 3, 3,
  ]
  /// The same of objects: CREATE_OBJECT's kinds.
  private static let objectLengths = [0, 11, 9, 5, 0, 9, 6, 9, 5, 4, 4, 6]
  private static let createObject = 1, clear = 7, drawVBO = 8, bindShader = 31, launchGrid = 37
  private static let shaderKind = 4
  /// SET_SHADER_IMAGES and GET_MEMORY_INFO: nearly any of them ends virglrenderer 0.10.4 (a null pointer), so that inputs
  /// would come no further.
  private static let fatal: Set<Int> = [35, 50]

  /// Shaders that are right; what an input says of them is put in between.
  private static let shaders: [(stage: UInt32, text: String)] = [
    (0, "VERT\nDCL IN[0]\nDCL OUT[0], POSITION\n  0: MOV OUT[0], IN[0]\n  1: END\n"),
    (1, "FRAG\nDCL OUT[0], COLOR\nIMM[0] FLT32 {1, 1, 1, 1}\n  0: MOV OUT[0], IMM[0]\n  1: END\n"),
    (
      1,
      "FRAG\nDCL IN[0], GENERIC[0], PERSPECTIVE\nDCL OUT[0], COLOR\nDCL SAMP[0]\nDCL SVIEW[0], 2D, FLOAT\n"
        + "  0: TEX OUT[0], IN[0], SAMP[0], 2D\n  1: END\n"
    ),
    (
      1,
      "FRAG\nDCL OUT[0], COLOR\nDCL CONST[0..3]\nDCL TEMP[0..1]\n  0: MAD TEMP[0], CONST[0], CONST[1], CONST[2]\n"
        + "  1: IF TEMP[0].xxxx :0\n  2: MUL TEMP[0], TEMP[0], CONST[3]\n  3: ENDIF\n  4: MOV OUT[0], TEMP[0]\n  5: END\n"
    ),
    (2, "GEOM\nPROPERTY GS_INPUT_PRIMITIVE TRIANGLES\nDCL IN[][0], POSITION\nDCL OUT[0], POSITION\n  0: END\n"),
    (
      5,
      "COMP\nPROPERTY CS_FIXED_BLOCK_WIDTH 1\nDCL BUFFER[0]\nDCL TEMP[0]\n  0: LOAD TEMP[0].x, BUFFER[0], IMM[0]\n  1: END\n"
    ),
  ]

  /// A command of the input's choice: mostly of the right length and with words that may be right.
  mutating func add(_ input: inout FuzzInput) {
    var number = Int(input.byte()) % (Self.lengths.count + 4)
    if Self.fatal.contains(number) { number = 0 }
    let kind = Int(input.byte()) % (Self.objectLengths.count + 1)
    if number == Self.createObject, kind == Self.shaderKind { return addShader(&input) }
    var length = number < Self.lengths.count ? Self.lengths[number] : 3
    if number == Self.createObject { length = kind < Self.objectLengths.count ? Self.objectLengths[kind] : 4 }
    let choice = input.byte()
    if choice >= 240 { length = Int(choice) % 48 }
    var words = (0..<length).map { _ in Self.word(&input) }
    Self.bound(&words, of: number)
    add(number, kind, words, claiming: choice == 239 ? UInt32(input.next(UInt16.self)) : nil)
  }

  /// Small numbers, which may name what there is; sums of bits; numbers with a fraction; anything.
  private static func word(_ input: inout FuzzInput) -> UInt32 {
    let byte = input.byte()
    switch byte {
    case 0..<160: return UInt32(byte & 15)
    case 160..<200: return 1 << UInt32(byte & 31)
    case 200..<230: return Float(Int(byte) - 214).bitPattern
    default: return input.next()
    }
  }

  /// A draw of a thousand million vertices is right, and takes its time: that says nothing.
  private static func bound(_ words: inout [UInt32], of number: Int) {
    if number == drawVBO {
      for place in [1, 4] where place < words.count { words[place] %= 256 }
    } else if number == launchGrid {
      for place in words.indices.prefix(6) { words[place] %= 8 }
    }
  }

  private mutating func add(_ number: Int, _ kind: Int, _ words: [UInt32], claiming claimed: UInt32?) {
    add(UInt32(number) | UInt32(kind) << 8 | (claimed ?? UInt32(words.count)) << 16)
    for word in words { add(word) }
  }

  private mutating func add(_ word: UInt32) {
    for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
  }

  /// A shader that is right, or with something of the input's in it; and its being bound.
  private mutating func addShader(_ input: inout FuzzInput) {
    let (stage, right) = Self.shaders[Int(input.byte()) % Self.shaders.count]
    var text = Array(right.utf8)
    let changes = Int(input.byte())
    if changes >= 128 {
      let place = Int(input.byte()) % text.count
      text.replaceSubrange(place..<min(text.count, place + changes % 8), with: Array(input.take(changes % 24)))
    }
    text += [UInt8](repeating: 0, count: 4 - text.count % 4)
    let handle = UInt32(input.byte() & 15)
    let length = changes == 127 ? Self.word(&input) : UInt32(text.count)
    let words = stride(from: 0, to: text.count, by: 4).map { start in
      (0..<4).reduce(UInt32(0)) { $0 | UInt32(text[start + $1]) << UInt32(8 * $1) }
    }
    add(Self.createObject, Self.shaderKind, [handle, stage, length, 300, 0] + words, claiming: nil)
    add(Self.bindShader, 0, [handle, stage], claiming: nil)
  }
}
