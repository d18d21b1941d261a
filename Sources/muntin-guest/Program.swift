import MuntinGuest

@main
struct Program {
  static func main() {
    GuestCommand.runCommandLine()
  }
}
