package zohofile_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tokenkeep/tokenkeep/zohofile"
)

// A file of Python's SDK. Tokens and secrets do not print themselves.
func ExampleRead() {
	file := strings.NewReader("" +
		"id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time,redirect_uri,api_domain\r\n" +
		"1,ana@example.com:600012345,1000.CLIENTEXAMPLE,secret-example,1000.r1.example,1000.a1.example,,1893456000000," +
		"\"https://app.example.com/cb?a=1,2\",https://www.zohoapis.com\r\n")

	tokens, err := zohofile.Read(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range tokens {
		fmt.Println(t.ID, t.UserSignature.Name, t.RefreshToken, t.Expiry, t.RedirectURL)
	}
	// Output: 1 ana@example.com:600012345 REDACTED 2030-01-01 00:00:00 +0000 UTC https://app.example.com/cb?a=1,2
}

// A file of Node's SDK, which writes no quotes: the comma in the redirect URL
// makes eleven cells of ten. Read does not guess which comma is one too many.
func ExampleError() {
	file := strings.NewReader("" +
		"id,user_name,client_id,client_secret,refresh_token,access_token,grant_token,expiry_time,redirect_url,api_domain\n" +
		"1,ana@example.com:600012345,1000.CLIENTEXAMPLE,secret-example,1000.r1.example,1000.a1.example,,1893456000000," +
		"https://app.example.com/cb?a=1,2,https://www.zohoapis.com")

	_, err := zohofile.Read(file)
	fmt.Println(err)

	if refused, ok := errors.AsType[*zohofile.Error](err); ok {
		fmt.Println("look at line", refused.Line)
	}
	// Output:
	// zohofile: line 2: 11 cells instead of 10: a value with a comma was written without quotes, or the row is damaged
	// look at line 2
}
