import Buffers
import GPUDevice
import Glibc
import HubProtocol
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
  /// What a consumer cannot use of it, where no way suits all.
  let misfit: Constraints.Unfit?
  /// For whom the way was chosen.
  var needs = ScanoutRequirements.unknown
  /// Keeps the VM's memory files known to the hub.
  private let files: [GuestFiles.File]
  private let charges: [ChargeKeeper]

  init(
    _ picture: Picture, shared: SharedPicture, copy: HostBuffer? = nil, pieces: [MemoryFilePiece] = [],
    files: [GuestFiles.File] = [], charges: [ChargeKeeper] = [], misfit: Constraints.Unfit? = nil
  ) {
    self.picture = picture
    self.shared = shared
    self.copy = copy
    self.pieces = pieces
    self.files = files
    self.charges = charges
    self.misfit = misfit
  }

  /// Its kind of memory.
  var kind: MemoryKind { shared.memory.kind }

  /// Whether handing `other` over instead would change nothing.
  func isSame(as other: HandedPicture) -> Bool {
    kind == other.kind && shared.reason == other.shared.reason && shared.layout == other.shared.layout
      && pieces == other.pieces && (copy == nil) == (other.copy == nil) && misfit == other.misfit
  }

  /// Whether it is a copy that was allocated so, for that reason.
  func isCopy(_ plan: HostPlan, because reason: HandOverReason) -> Bool {
    copy?.plan == plan && shared.reason == reason
  }

  /// Copies pixels that have changed; how many, nil where nothing has to be, or can be, copied.
  func update(_ damage: Rectangle) -> UInt64? {
    guard let copy, let base = copy.bytes.baseAddress else { return nil }
    let start = base + copy.layout.byteOffset(x: damage.x, y: damage.y)
    copy.beginWriting()
    defer { copy.endWriting() }
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

extension Ledger {
  /// Charges a demand for as long as the keeper is there.
  func keeper(of demand: Demand) throws(HandOverRefusal) -> ChargeKeeper {
    do throws(OverLimit) {
      return ChargeKeeper(try charge(demand))
    } catch {
      throw HandOverRefusal(.systemLimit)
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
