import GPUDevice
import Virtqueue

/// Requests written into guest memory once, to be offered many times: the driver costs the same whatever it asks.
final class CommandSlots {
  /// One request and the room for its answer.
  struct Slot {
    let readable: [VirtqueueDriver.Buffer]
    let writable: [VirtqueueDriver.Buffer]
    let answer: GuestAddress
    let name: String
  }

  private let guest: Guest
  private let queue: GuestQueue
  private let slots: [Slot]

  /// Writes the requests; `tail` is what follows those that are followed by something. Requests that are `fenced` are
  /// answered when what they begin is done.
  init(
    _ guest: Guest, _ commands: [Command], tail: [UInt8] = [], context: ContextID = .none, fenced: Bool = false
  ) throws(BenchError) {
    self.guest = guest
    queue = commands.first?.code.isCursorCommand == true ? guest.cursor : guest.control
    var slots: [Slot] = []
    for command in commands {
      let header = command.encoded(
        flags: fenced ? .fence : [], fence: FenceID(rawValue: UInt64(slots.count) + 1), context: context)
      switch command {
      case .resourceAttachBacking, .submit3D: slots.append(try Self.slot(guest, command, header + tail))
      default: slots.append(try Self.slot(guest, command, header))
      }
    }
    self.slots = slots
  }

  /// How many requests there are.
  var count: Int { slots.count }

  /// Offers all of them, kicks once and waits until all are answered.
  func batch(_ waiting: GuestQueue.Waiting = .asleep) throws(BenchError) {
    for slot in slots { try queue.add(slot) }
    try queue.complete(slots.count, waiting)
  }

  /// Throws unless the answers there now are all OK. QEMU gives cursor commands back without an answer.
  func check() throws(BenchError) {
    guard queue === guest.control else { return }
    for slot in slots {
      let response = guest.word(at: slot.answer)
      guard response == ResponseCode.okNoData.rawValue || response == ResponseCode.okDisplayInfo.rawValue else {
        throw .refused(command: slot.name, response: response)
      }
    }
  }

  private static func slot(_ guest: Guest, _ command: Command, _ request: [UInt8]) throws(BenchError) -> Slot {
    let room = command == .getDisplayInfo ? 408 : CommandHeader.byteCount
    let place = try guest.write(request)
    let answer = try guest.allocate(room)
    return Slot(
      readable: [VirtqueueDriver.Buffer(place, UInt32(request.count))],
      writable: [VirtqueueDriver.Buffer(answer, UInt32(room))], answer: answer, name: "\(command.code)")
  }
}
