const texts = {/*texts*/};
