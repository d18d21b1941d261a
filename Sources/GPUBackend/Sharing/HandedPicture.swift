import Buffers
import GPUDevice
import Glibc
import Platform
import Virtqueue

/// A picture as the hub has it. Kept for as long as somebody reads it: the memory, and what is charged for it, goes with
/// this object.
final class HandedPicture {
  /// The device's picture.
  let picture: Picture
  /// What the hub is given.
  let shared: SharedPicture
  /// Where the guest's pixels are copied at each flush; nil where consumers see the guest's own.
  let copy: HostBuffer?
  /// The guest's pages by their place in the VM's memory, for a picture that consists of them.
  let pieces: [MemoryFilePiece]
  /// Keeps the VM's memory files known to the hub.
  private let files: [GuestFiles.File]
  private let charge: ChargeKeeper?

  init(
    _ picture: Picture, shared: SharedPicture, copy: HostBuffer? = nil, pieces: [MemoryFilePiece] = [],
    files: [GuestFiles.File] = [], charge: ChargeKeeper? = nil
  ) {
    self.picture = picture
    self.shared = shared
    self.copy = copy
    self.pieces = pieces
    self.files = files
    self.charge = charge
  }

  /// Its kind of memory.
  var kind: MemoryKind { shared.memory.kind }

  /// Whether there may be a better way for a consumer that takes these kinds than the one it was handed over by.
  func suits(_ kinds: MemoryKind) -> Bool {
    kinds.contains(kind) && (copy == nil || kinds == .file)
  }

  /// Whether handing `other` over instead would change nothing.
  func isSame(as other: HandedPicture) -> Bool {
    kind == other.kind && shared.reason == other.shared.reason && pieces == other.pieces
  }

  /// Copies pixels that have changed; how many, nil where nothing has to be, or can be, copied.
  func update(_ damage: Rectangle) -> UInt64? {
    guard let copy, let base = copy.bytes.baseAddress else { return nil }
    let start = base + copy.layout.byteOffset(x: damage.x, y: damage.y)
    guard picture.copy(damage, to: start, stride: Int(copy.layout.stride)) else { return nil }
    return UInt64(damage.width) * UInt64(damage.height)
  }

  /// Gives the pages back to the system. Memory that the guest may still use is left alone: that is an error (EBUSY).
  func punch() throws(SystemError) {
    if let copy { return try copy.punch() }
    switch picture.memory {
    case .host(let buffer): try buffer.punch()
    case .hostBlob(let memory): try memory.punch()
    case .guest: throw SystemError(call: "punch", code: EBUSY)
    }
  }
}

/// A charge with an owner that can be referred to.
final class ChargeKeeper {
  private let charge: Ledger.Charge

  init(_ charge: consuming Ledger.Charge) {
    self.charge = consume charge
  }
}
