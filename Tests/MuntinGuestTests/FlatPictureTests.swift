import MuntinGuest
import Testing

struct FlatPictureTests {
  @Test func aFrameInOneColourIsWholeUntilAnyOfItsBytesIsAnother() {
    let picture = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
    defer { picture.deallocate() }
    FlatPicture.draw(7, into: picture)
    #expect(FlatPicture.isWhole(UnsafeRawBufferPointer(picture)))
    for place in [0, 8, 31, 32, 2049, 4095] {
      picture[place] ^= 1
      #expect(!FlatPicture.isWhole(UnsafeRawBufferPointer(picture)))
      picture[place] ^= 1
    }
  }

  @Test func twoFramesDifferInEveryWord() {
    var frames: [[UInt32]] = [[], []]
    for frame in 0...1 {
      let picture = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)
      defer { picture.deallocate() }
      FlatPicture.draw(UInt64(frame), into: picture)
      frames[frame] = Array(picture.bindMemory(to: UInt32.self))
    }
    #expect(!zip(frames[0], frames[1]).contains { $0 == $1 })
  }
}
