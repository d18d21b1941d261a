/// The objects of a connection, by their numbers.
struct ObjectTable {
  /// What a number stands for.
  enum Entry: Hashable {
    case living(WaylandInterface)
    /// Destroyed here; what the compositor still says of it means nothing.
    case destroyed
  }

  /// From here on numbers are the compositor's to give.
  static let firstOfCompositor: UInt32 = 0xff00_0000
  /// Of those that the compositor gives, as many as a window can need many times over.
  private static let maximumCount = 4096

  private var entries: [UInt32: Entry] = [1: .living(.display)]
  private var free: [UInt32] = []
  private var last: UInt32 = 1

  subscript(number: UInt32) -> Entry? { entries[number] }

  /// A new object's number.
  mutating func add(_ interface: WaylandInterface) -> UInt32 {
    let number = free.popLast() ?? last + 1
    last = max(last, number)
    entries[number] = .living(interface)
    return number
  }

  /// An object that the compositor made, which numbered it.
  mutating func adopt(_ number: UInt32, _ interface: WaylandInterface) throws(WaylandError) {
    guard number >= Self.firstOfCompositor, entries[number] == nil || entries[number] == .destroyed,
      entries.count < Self.maximumCount
    else { throw .malformed("a new object \(number)") }
    entries[number] = .living(interface)
  }

  /// The object is not used any more. Its number is free when the compositor says so.
  mutating func destroy(_ number: UInt32) { entries[number] = .destroyed }

  /// The compositor knows the number no more.
  mutating func forget(_ number: UInt32) throws(WaylandError) {
    guard number < Self.firstOfCompositor, entries[number] == .destroyed else {
      throw .malformed("the end of object \(number), which has not ended")
    }
    entries[number] = nil
    free.append(number)
  }

  /// An object for people.
  func name(_ number: UInt32) -> String {
    guard case .living(let interface)? = entries[number] else { return "object \(number)" }
    return "\(interface.rawValue)@\(number)"
  }
}
