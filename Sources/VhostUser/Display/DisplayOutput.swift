import Buffers
import Glibc
import Platform

/// The message that is being sent: a head of our own, and for large updates rows that stay where they are.
///
/// Nothing is allocated per message. What a message needs stays alive until its last byte is sent: a peer that was
/// promised bytes gets them.
final class DisplayOutput {
  /// Updates up to this many bytes are copied and sent in one piece; above, gathering rows costs less than copying.
  static let copyLimit = 32 << 10
  /// Largest piece of an update that has to be converted.
  static let stagingBytes = 256 << 10
  /// Largest update in one message: a 1080p frame. QEMU's main loop waits for the end of each message it begins to read.
  static let bandBytes = 8 << 20
  /// Rows in one system call (IOV_MAX is 1024).
  private static let vectorCapacity = 512

  private struct Rows {
    let first: UnsafeRawPointer
    let stride: Int
    let byteCount: Int
    let owner: AnyObject
  }

  private let staging: UnsafeMutableRawBufferPointer
  private let vectors: UnsafeMutablePointer<iovec>
  private var headCount = 0
  private var rows: Rows?
  private var total = 0
  private var sent = 0

  init() {
    staging = .allocate(byteCount: DisplayProtocol.updateHeadBytes + Self.stagingBytes, alignment: 16)
    vectors = .allocate(capacity: Self.vectorCapacity + 1)
  }

  deinit {
    staging.deallocate()
    vectors.deallocate()
  }

  /// Whether a message has been begun and not wholly sent.
  var isBusy: Bool { sent < total }

  /// Forgets the message, because its socket has gone.
  func reset() {
    rows = nil
    total = 0
    sent = 0
  }

  // MARK: Messages

  /// Begins a message out of words and bytes; it must fit in the staging memory.
  func begin(_ request: DisplayRequest, _ words: [UInt32], _ bytes: UnsafeRawBufferPointer? = nil) {
    var writer = ByteWriter(staging)
    writer.put(request, size: 4 * words.count + (bytes?.count ?? 0))
    for word in words { writer.put(word) }
    if let bytes { UnsafeMutableRawBufferPointer(rebasing: staging[writer.count...]).copyMemory(from: bytes) }
    beginStaged(count: writer.count + (bytes?.count ?? 0))
  }

  /// Begins an UPDATE of as much of the upper part of `area` as one message carries; how much that is.
  func beginUpdate(_ scanout: UInt32, _ area: Rectangle, _ pixels: DisplayPixels) -> Rectangle {
    if case .memory(let base, let stride, let owner) = pixels, area.byteCount > Self.copyLimit {
      let band = area.upperPart(bytes: Self.bandBytes)
      writeHead(scanout, band)
      headCount = DisplayProtocol.updateHeadBytes
      rows = Rows(
        first: base + Int(band.y) * stride + 4 * Int(band.x), stride: stride, byteCount: 4 * Int(band.width),
        owner: owner)
      total = headCount + band.byteCount
      sent = 0
      return band
    }
    let band = area.upperPart(bytes: Self.stagingBytes)
    writeHead(scanout, band)
    let room = staging[DisplayProtocol.updateHeadBytes..<(DisplayProtocol.updateHeadBytes + band.byteCount)]
    pixels.copy(band, into: UnsafeMutableRawBufferPointer(rebasing: room))
    beginStaged(count: DisplayProtocol.updateHeadBytes + band.byteCount)
    return band
  }

  private func writeHead(_ scanout: UInt32, _ area: Rectangle) {
    var writer = ByteWriter(staging)
    writer.put(.update, size: 20 + area.byteCount)
    writer.put(scanout, area.x, area.y, area.width, area.height)
  }

  private func beginStaged(count: Int) {
    rows = nil
    headCount = count
    total = count
    sent = 0
  }

  // MARK: Sending

  /// Sends until the message is out (true) or the socket is full (false).
  func flush(to socket: Int32) throws(SystemError) -> Bool {
    while isBusy {
      let pieces = UnsafeMutableBufferPointer(start: vectors, count: fillVectors())
      guard let count = try UnixSocket.send(socket, gathering: pieces) else { return false }
      sent += count
    }
    rows = nil
    return true
  }

  /// Describes what is still to be sent; how many pieces that are.
  private func fillVectors() -> Int {
    var count = 0
    if sent < headCount {
      vectors[0] = iovec(iov_base: staging.baseAddress.map { $0 + sent }, iov_len: headCount - sent)
      count = 1
    }
    guard let rows else { return count }
    var place = max(0, sent - headCount)
    let end = total - headCount
    while place < end, count <= Self.vectorCapacity {
      let (row, offset) = place.quotientAndRemainder(dividingBy: rows.byteCount)
      // Rows without gaps are one piece.
      let length = rows.stride == rows.byteCount ? end - place : rows.byteCount - offset
      vectors[count] = iovec(
        iov_base: UnsafeMutableRawPointer(mutating: rows.first + row * rows.stride + offset), iov_len: length)
      count += 1
      place += length
    }
    return count
  }
}

extension Rectangle {
  /// Bytes of its pixels, four each. Only for areas within a scanout, whose sizes have been checked.
  fileprivate var byteCount: Int { 4 * Int(width) * Int(height) }

  /// As many of the upper rows as fit, at least one.
  fileprivate func upperPart(bytes: Int) -> Rectangle {
    let lines = max(1, min(Int(height), bytes / (4 * max(1, Int(width)))))
    return Rectangle(x: x, y: y, width: width, height: UInt32(lines))
  }
}
