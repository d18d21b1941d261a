import ArgumentParser
import Buffers
import HubProtocol

/// `muntin grant`.
struct GrantCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "grant",
    abstract: "Lets a virtual machine or a program use another's buffers, or see its screens.",
    discussion: """
      The owner and who may use its buffers are parties: vm:NAME (or NAME alone), application:NAME or display:NAME. Without --name, \
      --id and --display the grant is for all buffers of the owner, those that come later included. With --display a virtual \
      machine may see what that screen of another shows (`muntin-guest show VM:DISPLAY`).

      The grant lasts until `muntin revoke`, until the hub ends, or, with --id, until the buffer goes. For grants that \
      outlive the hub put [[grant]] into the configuration. Prints the grant's number.

      EXAMPLES
        muntin grant application:camera application:recorder --name front
        muntin grant vm:cluster application:recorder
        muntin grant application:camera vm:cluster --access read-write
        muntin grant vm:ivi vm:dash --display 0
        muntin grant vm:ivi vm:cluster --name map --form shared
      """
  )

  @Argument(help: ArgumentHelp("Whose buffers.", valueName: "owner"), transform: ArgumentValue.party)
  var owner: Party

  @Argument(help: ArgumentHelp("Who may use them.", valueName: "party"), transform: ArgumentValue.party)
  var grantee: Party

  @Option(help: "Only buffers of this name.", transform: ArgumentValue.name)
  var name: PeerName?

  @Option(help: ArgumentHelp("Only the buffer with this id (see `muntin list buffers`).", valueName: "uuid"))
  var id: String?

  @Option(help: ArgumentHelp("Only what this screen of the owner shows; for reading.", valueName: "number"))
  var display: Int?

  @Option(
    help: ArgumentHelp("read or read-write.", valueName: "access"),
    transform: { (text: String) throws -> BufferAccess in
      guard let access = BufferAccess(text) else { throw ValidationError("give read or read-write") }
      return access
    })
  var access = BufferAccess.read

  @Option(
    help: ArgumentHelp(
      "How a VM that may read gets the pixels: shadow or shared.",
      discussion: """
        shadow: a copy of its own, brought up to date by damage. shared: no copy; the VM could write into the owner's \
        memory, if its VMM does not map it read-only. Without it: no copy where the VMM maps memory read-only \
        (muntin gpu --vmm-maps-read-only), else shadow.
        """,
      valueName: "form"),
    transform: { (text: String) throws -> ReadForm in
      guard let form = ReadForm.grantable.first(where: { $0.description == text }) else {
        throw ValidationError("give shadow or shared")
      }
      return form
    })
  var form: ReadForm?

  @OptionGroup var hub: HubOptions

  func validate() throws {
    guard [name != nil, id != nil, display != nil].filter(\.self).count <= 1 else {
      throw ValidationError("give one of --name, --id and --display")
    }
    if form != nil, access != .read || grantee.kind != .vm {
      throw ValidationError("--form is about a VM that may read; leave it out, or grant read access to vm:NAME")
    }
    if let display { try validate(display) }
    if let id, BufferID(id) == nil { throw ValidationError("an id looks like \(BufferID.example)") }
  }

  private func validate(_ display: Int) throws {
    guard 0..<ScanoutIndex.maximumCount ~= display else {
      throw ValidationError("a virtual machine's displays are 0 to 15")
    }
    guard owner.kind == .vm, grantee.kind == .vm else {
      throw ValidationError("--display is for one virtual machine to see another's screen")
    }
    guard access == .read, form == nil else {
      throw ValidationError("a display can be read only, as a copy; leave --access and --form away")
    }
  }

  func run() throws {
    let request = GrantRequest(owner: owner, to: grantee, object: object, access: access, form: form)
    do {
      print(try HubClient.connect(hub.path).grant(request))
    } catch ControlError.refused(let refusal) where refusal.code == .notFound {
      throw CommandFailure("\(owner) has no buffer \(id ?? ""); `muntin list buffers` shows which there are")
    }
  }

  private var object: GrantObject {
    if let display { return .scanout(ScanoutIndex(display)) }
    if let id = id.flatMap({ BufferID($0) }) { return .id(id) }
    return name.map { .name($0) } ?? .everything
  }
}

/// `muntin revoke`.
struct RevokeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revoke",
    abstract: "Takes a grant back.",
    discussion: """
      Whoever holds a buffer by that grant alone is told to release it, and is cut off after the lease limit \
      ([hub] lease_limit, 10 s unless set). Grants of the configuration cannot be revoked: remove them there.

      EXAMPLES
        muntin list grants
        muntin revoke 3
      """
  )

  @Argument(help: ArgumentHelp("The grant's number (see `muntin list grants`).", valueName: "number"))
  var number: UInt64

  @OptionGroup var hub: HubOptions

  func run() throws {
    do {
      try HubClient.connect(hub.path).revoke(GrantID(rawValue: number))
    } catch ControlError.refused(let refusal) where refusal.code == .notFound {
      throw CommandFailure(
        "there is no grant \(number) that could be revoked; `muntin list grants` shows which there are")
    }
  }
}

extension BufferID {
  /// For messages.
  fileprivate static let example = "6b1f0d4e-0c7e-4c8a-9b57-0f3f3f6a2f11"
}
