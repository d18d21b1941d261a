import ArgumentParser
import HubProtocol

/// `muntin-guest share-display`.
struct GuestShareDisplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "share-display",
    abstract: "Lets another virtual machine see a screen of this one.",
    discussion: """
      The right lasts until --stop, or `muntin revoke` on the host. The host must allow it: share_displays = true in this \
      machine's configuration, or `muntin gpu --share-displays`, since whoever may open the card could do this.

      EXAMPLES
        muntin-guest share-display 0 dash
        muntin-guest share-display 0 dash --stop
      """
  )

  @Argument(help: ArgumentHelp("Which screen, counted from 0.", valueName: "display"))
  var display: Int

  @Argument(help: ArgumentHelp("Who may see it.", valueName: "vm"), transform: GuestArgument.name)
  var machine: PeerName

  @Flag(help: "Take the right back.")
  var stop = false

  @OptionGroup var card: CardOptions

  func validate() throws {
    guard 0..<ScanoutIndex.maximumCount ~= display else { throw ValidationError("a machine's displays are 0 to 15") }
  }

  func run() throws {
    let conversation = try card.connect()
    let scanout = ScanoutIndex(display), grantee = Party(.vm, machine)
    guard stop else {
      _ = try conversation.ask(.grant(GrantRequest(to: grantee, object: .scanout(scanout))))
      return print("\(grantee) may see display \(display)")
    }
    for grant in try conversation.grants() where grant.object == .scanout(scanout) && grant.grantee == grantee {
      _ = try conversation.ask(.revoke(grant.id))
    }
    print("\(grantee) may not see display \(display)")
  }
}
