import Buffers
import Glibc
import Testing

@testable import GPUDevice

private let decoder = "/usr/bin/edid-decode"

@Suite("What a scanout says about itself") struct EDIDTests {
  static let sizes = [
    "1280x800", "1920x1080", "3840x2160", "1920x1200", "1024x768", "640x480", "1x1", "173x61", "4095x4095", "4095x1",
    "1x4095", "2560x1440", "1366x768", "4096x2160", "5120x2880", "7680x4320", "8192x8192", "16384x16384", "16384x1",
    "1x16384",
  ].compactMap { Size($0) }

  @Test("every block's sum is 0 and the extensions are counted", arguments: sizes)
  func checksums(_ size: Size) {
    let bytes = EDID(size: size, name: "Muntin", serial: 7).bytes
    #expect(bytes.count == 128 * (1 + Int(bytes[126])) && bytes.count <= EDID.maximumByteCount)
    for start in stride(from: 0, to: bytes.count, by: 128) {
      #expect(bytes[start..<start + 128].reduce(0, &+) == 0)
    }
  }

  @Test("a size with twelve bits is the first descriptor", arguments: sizes.filter { max($0.width, $0.height) <= 4095 })
  func preferred(_ size: Size) {
    let timing = EDID(size: size, name: "Muntin", serial: 7).bytes[54..<72].map { UInt32($0) }
    #expect(timing[2] | (timing[4] & 0xf0) << 4 == size.width)
    #expect(timing[5] | (timing[7] & 0xf0) << 4 == size.height)
    let clock = timing[0] | timing[1] << 8
    let total = (size.width + 160) * (size.height + timing[6] + (timing[7] & 15) << 8)
    #expect((23...61).contains(clock * 10_000 / total), "refresh")
    #expect(clock >= 1000)
  }

  @Test(
    "a larger size is the preferred mode of a DisplayID block",
    arguments: sizes.filter { max($0.width, $0.height) > 4095 })
  func large(_ size: Size) throws {
    let block = EDID(size: size, name: "Muntin", serial: 7).bytes[128...].map { UInt32($0) }
    #expect(block[0] == 0x70)
    let timing = try #require(block.indices.first { block[$0] == 3 && block[$0 + 2] == 20 && $0 > 8 }) + 3
    #expect(block[timing + 3] & 0x80 != 0, "preferred")
    #expect((block[timing + 4] | block[timing + 5] << 8) + 1 == size.width)
    #expect((block[timing + 12] | block[timing + 13] << 8) + 1 == size.height)
  }

  @Test("a serial number depends on the VM's name and the scanout, and on nothing else")
  func serial() {
    let serials = ["a", "b"].flatMap { name in
      (0..<16).map { EDID.serial(machine: name, scanout: ScanoutID(rawValue: $0)) }
    }
    #expect(Set(serials).count == 32)
    #expect(EDID.serial(machine: "a", scanout: ScanoutID(rawValue: 3)) == serials[3])
  }

  @Test("a long or odd name is cut to thirteen printable characters")
  func name() {
    let bytes = EDID(size: Size(width: 640, height: 480), name: "Ünïcode\n name that is long", serial: 1).bytes
    #expect(String(decoding: bytes[95..<108], as: UTF8.self) == "ncode name th")
  }

  @Test("extents of 0 and beyond every limit give a valid block")
  func limits() {
    for size in [Size(width: 0, height: 0), Size(width: .max, height: .max), Size(width: 0, height: .max)] {
      #expect(EDID(size: size, name: "", serial: 0).bytes.count.isMultiple(of: 128))
    }
  }

  @Test(
    "edid-decode finds no fault", .enabled(if: access(decoder, X_OK) == 0, "edid-decode is not installed"),
    arguments: sizes)
  func decodes(_ size: Size) throws {
    let pipe = try #require(popen("\(decoder) --check --skip-hex-dump >/dev/null", "w"))
    let bytes = EDID(size: size, name: "Muntin 1", serial: 0x89ab_cdef).bytes
    #expect(fwrite(bytes, 1, bytes.count, pipe) == bytes.count)
    #expect(pclose(pipe) == 0)
  }
}
