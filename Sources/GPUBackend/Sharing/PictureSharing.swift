import Buffers
import GPUDevice
import HubProtocol
import Platform
import Virtqueue

/// Chooses how consumers get each picture: as it lies in memory where they can see that, else as a copy.
///
/// A picture of the guest's pages goes as one dma-buf, as ranges of the VM's memory, or as a copy of what has changed,
/// the first of these that all its consumers take and the machine can make. One that lies as a consumer cannot use it is
/// copied to where all can; where nothing suits all, it goes as it lies to those who can use that.
final class PictureSharing {
  private let client: ProducerClient
  let files: GuestFiles
  let dmaBufs = DMABufMaker()
  let ledger: Ledger
  /// Where copies are allocated: in the first that suits.
  let sources: [HostSource]
  /// By the device's id.
  private var current: [BufferID: HandedPicture] = [:]
  /// Given up, but still read; by the hub's id.
  private var retired: [BufferID: HandedPicture] = [:]

  init(client: ProducerClient, ledger: Ledger, sources: [HostSource]) {
    self.client = client
    self.ledger = ledger
    self.sources = sources
    files = GuestFiles(client: client, ledger: ledger)
  }

  /// The picture for consumers that ask for that; another one than before where they ask for something else now.
  func picture(_ picture: Picture, for requirements: ScanoutRequirements) throws(HandOverRefusal) -> HandedPicture {
    if let known = current[picture.id], known.needs == requirements { return known }
    return try review(picture, for: requirements)
  }

  /// Looks for the best way again.
  func review(_ picture: Picture, for requirements: ScanoutRequirements) throws(HandOverRefusal) -> HandedPicture {
    let fresh = try handOver(picture, for: requirements)
    let known = current[picture.id]
    let chosen = known.flatMap { $0.isSame(as: fresh) ? $0 : nil } ?? fresh
    chosen.needs = requirements
    current[picture.id] = chosen
    return chosen
  }

  /// How a picture was handed over.
  func known(_ picture: Picture) -> HandedPicture? { current[picture.id] }

  /// The guest has given the picture up.
  func retire(_ picture: Picture) {
    guard let known = current.removeValue(forKey: picture.id) else { return }
    retire(known)
  }

  /// The picture was handed over in another way.
  func retire(_ handed: HandedPicture) {
    if client.retire(handed.shared.id) { retired[handed.shared.id] = handed }
  }

  /// Nobody reads it any more.
  func freed(_ id: BufferID) { retired[id] = nil }

  /// A reader does not let go of a picture that was given up: its memory is emptied, so that it costs nothing.
  ///
  /// - Returns: whether it was; false for one that is not known.
  /// - Throws: what kept the system from it, as with memory that is the guest's.
  func punch(_ id: BufferID) throws(SystemError) -> Bool {
    guard let handed = retired[id] else { return false }
    try handed.punch()
    return true
  }

  /// The guest's own id of the picture, which it may have told others, unless somebody still reads what had it before.
  func freeID(for picture: Picture) -> BufferID {
    let isTaken = retired[picture.id] != nil || current[picture.id]?.shared.id == picture.id
    return isTaken ? .random() : picture.id
  }
}
