// What Debug.Assert becomes in the tests: a claim that cannot be switched off.
namespace Codemoe {
    public sealed class Failed : System.Exception {
        public Failed(string message) : base(message) { }
    }

    public static class Check {
        public static void True(bool claim, params object[] words) {
            if (!claim) throw new Failed("assertion failed");
        }
    }
}
