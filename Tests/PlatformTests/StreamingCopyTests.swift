import Platform
import Testing

@Suite("Streaming copies") struct StreamingCopyTests {
  @Test("pieces of any length at any alignment arrive whole, and nothing beside them changes")
  func pieces() {
    let small = [1, 63, 64, 511, 512, 513, 1000]
    let lengths = small + [4096, 4096, 4095, 4097, 8191, 32_768, 32_769, 70_001, 4096, 600, 512]
    for offset in [0, 1, 15, 16, 60] {
      let total = lengths.reduce(0, +) + lengths.count * 3 + offset
      let source = UnsafeMutableRawBufferPointer.allocate(byteCount: total, alignment: 64)
      let target = UnsafeMutableRawBufferPointer.allocate(byteCount: total, alignment: 64)
      defer {
        source.deallocate()
        target.deallocate()
      }
      for index in 0..<total { source[index] = UInt8(truncatingIfNeeded: index &* 7 &+ index >> 8) | 1 }
      target.initializeMemory(as: UInt8.self, repeating: 0)
      var expected = [UInt8](repeating: 0, count: total)
      var copy = StreamingCopy()
      var place = offset
      for length in lengths {
        let from = total - place - length
        guard let sourceBase = source.baseAddress, let targetBase = target.baseAddress else { return }
        copy.add(to: targetBase + place, from: sourceBase + from, count: length)
        expected.replaceSubrange(place..<place + length, with: source[from..<from + length])
        place += length + 3
      }
      copy.finish()
      #expect(target.elementsEqual(expected))
    }
  }
}
